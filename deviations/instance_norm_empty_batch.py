"""Docstring of torch.nn.InstanceNorm1d, affine and Shape: here an empty batch."""

import torch

print("documented: an input (N, C, L) of any N; without affine parameters, seen:")
print(tuple(torch.nn.InstanceNorm1d(3)(torch.zeros(0, 3, 4)).shape))
try:
    print("seen with affine=True:", tuple(torch.nn.InstanceNorm1d(3, affine=True)(torch.zeros(0, 3, 4)).shape))
except IndexError as error:
    print("seen with affine=True: IndexError:", error)
    raise SystemExit(1) from None
