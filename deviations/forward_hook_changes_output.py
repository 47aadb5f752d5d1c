"""Docstring of Module.register_forward_hook: a change of the input, here of a layer whose output shares its memory."""

import torch
from torch import nn


def double_the_input(module, args, output):
    args[0].mul_(2)


print("documented: a forward hook can modify the input in place, but it will not have effect on forward")
layer = nn.Flatten()
layer.register_forward_hook(double_the_input)
seen = layer(torch.tensor([[1.0, 2.0]])).tolist()
print("expected:   [[1.0, 2.0]]")
print("seen:      ", seen)
raise SystemExit(seen != [[1.0, 2.0]])
