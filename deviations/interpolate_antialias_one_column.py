"""Docstring of F.interpolate, antialias: rows are weighed alike, however wide the image. To one column they are not."""

import torch
from torch.nn.functional import interpolate

x = torch.arange(4.0).view(1, 1, 4, 1)
documented = interpolate(x.mT, size=(1, 2), mode="bilinear", antialias=True).flatten().tolist()
seen = interpolate(x, size=(2, 1), mode="bilinear", antialias=True).flatten().tolist()
print(f"0, 1, 2, 3 resized to two: documented {documented}, seen in one column {seen}")
raise SystemExit(int(documented != seen))
