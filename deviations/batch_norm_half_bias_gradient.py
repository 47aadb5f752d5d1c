"""Docstring of torch.nn.BatchNorm2d: the float32 bias' gradient is a sum, here of bfloat16 that is not contiguous."""

import torch

norm = torch.nn.BatchNorm2d(1)
x = torch.arange(257.0).reshape(1, 1, 257, 1) % 5
norm(x.bfloat16()).backward(torch.ones((), dtype=torch.bfloat16).expand(x.shape))
print("documented: the sum of 257 ones, in float32: 257.0")
print("seen:", norm.bias.grad.item(), norm.bias.grad.dtype)
raise SystemExit(int(norm.bias.grad.item() != 257))
