"""Docstring of torch.nn.utils.vector_to_parameters: it copies. A later change of the vector changes the parameters."""

import torch
from torch import nn

print("documented: copies slices of the vector into the parameters")
parameter, vector = nn.Parameter(torch.zeros(2)), torch.tensor([1.0, 2.0])
nn.utils.vector_to_parameters(vector, [parameter])
vector.fill_(9)
print("expected:   [1.0, 2.0]")
print("seen:      ", parameter.tolist())
raise SystemExit(parameter.tolist() != [1.0, 2.0])
