"""Docstring of torch.nn.Hardswish: x if x >= 3."""

import torch

seen = torch.nn.functional.hardswish(torch.tensor([1e38])).item()
documented = torch.tensor(1e38).item()
print(f"documented: hardswish(1e38) = {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
