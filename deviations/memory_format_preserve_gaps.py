"""Tensor Attributes, torch.preserve_format: if the input is not dense, output strides follow contiguous_format."""

import torch

x = torch.ones(4, 6).t()[::2]
seen = torch.empty_like(x, memory_format=torch.preserve_format).stride()
print("documented: not dense, so that the copy is contiguous: (4, 1)")
print("seen:", seen)
raise SystemExit(seen != (4, 1))
