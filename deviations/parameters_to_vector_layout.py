"""Docstring of torch.nn.utils.parameters_to_vector: it flattens parameters. Not those of a network in channels_last."""

import torch
from torch import nn

print("documented: parameters_to_vector flattens an iterable of parameters into a single vector")
conv = nn.Conv2d(2, 3, 2).to(memory_format=torch.channels_last)
try:
    print("seen:       a vector of", nn.utils.parameters_to_vector(conv.parameters()).numel())
except RuntimeError as error:
    print("seen:       RuntimeError:", error)
    raise SystemExit(1) from None
