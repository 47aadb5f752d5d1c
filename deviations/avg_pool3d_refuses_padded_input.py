"""Docstring of torch.nn.AvgPool3d, Shape. Inputs smaller than the kernel are refused, whatever the padding."""

import torch

print("AvgPool2d:", torch.nn.AvgPool2d(2, padding=1)(torch.ones(1, 1, 1, 1)))
print("documented for AvgPool3d: one output, (1 + 2 - 2) // 2 + 1 = 1 in each dimension")
try:
    print("AvgPool3d:", torch.nn.AvgPool3d(2, padding=1)(torch.ones(1, 1, 1, 1, 1)))
except RuntimeError as error:
    print("seen:", error)
    raise SystemExit(1) from None
