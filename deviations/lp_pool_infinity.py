"""LPPool1d: with p = infinity max pooling over absolute values."""

import torch

seen = torch.nn.LPPool1d(float("inf"), 2)(torch.tensor([[[1.0, -2.0]]])).item()
documented = 2.0
print(f"documented: {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
