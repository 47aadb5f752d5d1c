"""Docstring of F.conv2d: a convolution, whose gradients do not depend on the stride of its input's one column."""

import torch
from torch.nn.functional import conv2d

last, found = torch.channels_last, []
row = (torch.arange(16.0, dtype=torch.float64) * 5 % 7 - 3).view(2, 4, 1, 2)
narrow = row.transpose(2, 3)
turned = row.to(memory_format=last).transpose(2, 3)  # the same numbers
for x in (narrow.contiguous(), turned):
    weight = torch.ones(4, 2, 1, 3, dtype=torch.float64).to(memory_format=last).requires_grad_()
    out = conv2d(x, weight, padding=(0, 1), groups=2)
    out.backward(torch.arange(float(out.numel()), dtype=torch.float64).view_as(out))
    found.append(weight.grad[0].flatten().tolist())
print(f"two inputs with the same numbers; documented a gradient\n{found[0]}\nof both, seen of the second\n{found[1]}")
raise SystemExit(int(found[0] != found[1]))
