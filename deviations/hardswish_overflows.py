"""Hardswish: x if x >= 3."""

import torch

seen = torch.nn.functional.hardswish(torch.tensor([1e38])).item()
documented = torch.tensor(1e38).item()
print(f"documented: {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
