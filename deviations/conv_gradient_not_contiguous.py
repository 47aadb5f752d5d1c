"""Docstring of F.conv2d: a convolution, which has gradients whatever the stride of its kernel's one column is."""

import torch
from torch.nn.functional import conv2d, conv_transpose2d

last, deviates = torch.channels_last, False
x = torch.ones(2, 4, 3, 3, dtype=torch.float64).to(memory_format=last)
weight = torch.ones(4, 4, 1, 3, dtype=torch.float64).to(memory_format=last).transpose(2, 3).requires_grad_()
for function in (conv2d, conv_transpose2d):
    try:
        function(x, weight).sum().backward()
        print(f"{function.__name__}: documented a gradient, seen one")
    except RuntimeError as error:
        deviates = True
        print(f"{function.__name__}: documented a gradient, seen {error}")
raise SystemExit(int(deviates))
