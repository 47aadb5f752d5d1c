"""Docstring of torch.nn.LPPool1d: the p-th root of the sum over the window; p = 1 is sum pooling."""

import torch

seen = torch.nn.LPPool1d(1, 2, ceil_mode=True)(torch.ones(1, 1, 3)).tolist()
documented = [[[2.0, 1.0]]]
print(f"documented: sums of the windows (1, 1) and (1): {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
