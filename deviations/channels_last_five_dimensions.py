"""Module.to(memory_format=torch.channels_last) of a network that also has a Conv3d."""

import torch
from torch import nn

print("documented: memory_format is the desired memory format for 4D parameters and buffers in this module")
net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv3d(2, 2, 1))
try:
    net.to(memory_format=torch.channels_last)
    print("seen:       5D parameters stay", net[1].weight.stride())
except RuntimeError as error:
    print("seen:       RuntimeError:", error)
    raise SystemExit(1) from None
