"""MaxPool3d takes (C, D, H, W), but refuses it when D is the innermost dimension in memory."""

import torch

x = torch.arange(360.0).view(3, 4, 5, 6)
moved = x.contiguous(memory_format=torch.channels_last)
print("documented: both of", torch.nn.MaxPool3d(2)(x).shape)
try:
    same = torch.nn.MaxPool3d(2)(moved).equal(torch.nn.MaxPool3d(2)(x))
except RuntimeError as error:
    print("seen:", error)
    raise SystemExit(1) from None
raise SystemExit(0 if same else 1)
