"""GroupNorm of groups of one element, for a batch of two and of one."""

import torch

norm = torch.nn.GroupNorm(4, 4).eval()
print("documented: an input (N, C, *); seen for N = 2:", norm(torch.zeros(2, 4)).tolist())
try:
    print("seen for N = 1:", norm(torch.zeros(1, 4)).tolist())
except ValueError as error:
    print("seen for N = 1: ValueError:", error)
    raise SystemExit(1) from None
