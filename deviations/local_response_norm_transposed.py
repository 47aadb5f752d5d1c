"""Docstring of torch.nn.LocalResponseNorm, Shape: here a transposed input of five dimensions."""

import torch

x = torch.zeros(2, 3, 2, 4, 5).transpose(3, 4)
print("documented: an input (N, C, *), with no word on strides")
try:
    print("seen:", tuple(torch.nn.LocalResponseNorm(3)(x).shape))
except RuntimeError as error:
    print("seen: RuntimeError:", error)
    raise SystemExit(1) from None
