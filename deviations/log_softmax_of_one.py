"""Docstring of torch.nn.LogSoftmax: values in the range [-inf, 0)."""

import torch

seen = torch.nn.LogSoftmax(0)(torch.tensor([3.0])).item()
documented = seen if seen < 0 else "a value in [-inf, 0)"
print(f"documented: {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
