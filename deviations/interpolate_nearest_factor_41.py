"""Docstring of torch.nn.Upsample: 41 times by nearest neighbours repeats each element 41 times."""

import torch

x = torch.arange(3.0).view(1, 1, 3)
out = torch.nn.Upsample(scale_factor=41, mode="nearest")(x).flatten()
seen = [int((out == value).sum()) for value in range(3)]
print(f"three elements: documented, 41 times each: [41, 41, 41]; seen {seen}")
raise SystemExit(int(seen != [41] * 3))
