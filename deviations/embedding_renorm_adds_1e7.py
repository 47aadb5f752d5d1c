"""Rows are scaled by max_norm / (norm + 1e-7)."""

import torch

layer = torch.nn.Embedding(1, 1, max_norm=2.0**-24)
layer.weight.data.fill_(2.0**-23)
seen = layer(torch.tensor([0])).item() * 2.0**24
wrong = abs(seen - 1) > 1e-5
print("documented:", "a row of a larger norm is given norm max_norm")
print("seen:      ", seen)
raise SystemExit(int(wrong))
