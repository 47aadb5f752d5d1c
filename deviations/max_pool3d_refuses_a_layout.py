"""Docstring of torch.nn.MaxPool3d, Shape: (C, D, H, W). It is refused when D is the innermost dimension in memory."""

import torch

x = torch.arange(360.0).view(3, 4, 5, 6)
moved = x.contiguous(memory_format=torch.channels_last)
print("documented: an output, whatever the layout, of", torch.nn.MaxPool3d(2)(x).shape)
try:
    same = torch.nn.MaxPool3d(2)(moved).equal(torch.nn.MaxPool3d(2)(x))
except RuntimeError as error:
    print("seen:", error)
    raise SystemExit(1) from None
print("seen: the same output" if same else "seen: another output")
raise SystemExit(0 if same else 1)
