"""Docstring of torch.nn.Dropout: each channel will be zeroed out independently."""

import torch

torch.manual_seed(0)
seen = torch.nn.Dropout()(torch.ones(1, 4, 50)).eq(0).sum(2).tolist()
documented = [[50 if count == 50 else 0 for count in seen[0]]]
print(f"documented: zeros in four channels of 50: {documented}")
print(f"seen:       zeros in four channels of 50: {seen}")
raise SystemExit(seen != documented)
