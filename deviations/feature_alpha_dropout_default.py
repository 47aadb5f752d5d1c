"""Docstring of torch.nn.functional.feature_alpha_dropout, training: apply dropout if True. Default: True."""

import torch

x = torch.ones(8, 64, 2)
seen = bool((torch.nn.functional.feature_alpha_dropout(x) != x).any())
documented = True
print(f"documented: without the argument it drops channels: {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
