"""Docstring of torch.nn.init.orthogonal_, tensor: an n-dimensional torch.Tensor, where n >= 2."""

import torch

weight = torch.nn.Conv2d(3, 4, 2).to(memory_format=torch.channels_last).weight
try:
    torch.nn.init.orthogonal_(weight)
    seen = "an orthogonal matrix"
except RuntimeError as error:
    seen = repr(error)
print("documented: a tensor of n >= 2 dimensions is filled with an orthogonal matrix")
print("seen:", seen)
raise SystemExit(seen != "an orthogonal matrix")
