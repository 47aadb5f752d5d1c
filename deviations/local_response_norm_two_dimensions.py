"""Docstring of torch.nn.LocalResponseNorm, Shape: here an input (N, C)."""

import torch

print("documented: an input (N, C, *)")
try:
    print("seen:", tuple(torch.nn.LocalResponseNorm(3)(torch.zeros(2, 5)).shape))
except ValueError as error:
    print("seen: ValueError:", " ".join(str(error).split()))
    raise SystemExit(1) from None
