"""Docstring of torch.nn.Hardswish: 0 if x <= -3."""

import torch

seen = torch.nn.functional.hardswish(torch.tensor([-torch.inf])).item()
documented = 0.0
print(f"documented: hardswish(-inf) = {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
