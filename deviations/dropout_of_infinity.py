"""Dropout: randomly zeroes elements with probability p."""

import torch

seen = torch.nn.Dropout(1.0)(torch.tensor([torch.inf])).item()
documented = 0.0
print(f"documented: {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
