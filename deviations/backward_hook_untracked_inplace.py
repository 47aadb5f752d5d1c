"""Docstring of Module.register_full_backward_hook: a change in place of an input, here one that needs no gradient."""

import torch
from torch import nn


class Changing(nn.Linear):
    def forward(self, x):
        return super().forward(x.mul_(3))


print("documented: modifying inputs in place is not allowed when using backward hooks and will raise an error")
layer = Changing(2, 1)
layer.register_full_backward_hook(lambda *_: None)
x = torch.ones(1, 2)
try:
    print("seen:       no error,", layer(x).shape, "and the input became", x.tolist())
except RuntimeError as error:
    print("seen:      ", error)
raise SystemExit(x.tolist() != [[1.0, 1.0]])
