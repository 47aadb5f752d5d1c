"""Docstring of F.conv2d: a sum of products, whatever the stride of a grouped kernel's one column is."""

import torch
from torch.nn.functional import conv2d, conv_transpose2d

last = torch.channels_last
x = (torch.arange(72.0) * 5 % 7 - 3).view(2, 4, 3, 3)
row = (torch.arange(24.0) * 5 % 7 - 3).view(4, 2, 1, 3)
column = row.transpose(2, 3)
turned = row.to(memory_format=last).transpose(2, 3)  # the same numbers
deviates = False
for function in (conv2d, conv_transpose2d):
    documented = function(x, column.contiguous(), groups=2)
    seen = function(x.to(memory_format=last), turned, groups=2)
    print(f"{function.__name__}: documented {documented[0, 0, -1].tolist()}, seen {seen[0, 0, -1].tolist()}")
    deviates |= not torch.equal(documented, seen)
raise SystemExit(int(deviates))
