"""Docstring of torch.nn.utils.clip_grad_norm_: it returns the total norm, here of order zero."""

import torch
from torch import nn

print("documented: the total norm of the gradients, viewed as a single vector")
first, second = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3))
first.grad, second.grad = torch.tensor([3.0, 0.0, 4.0]), torch.tensor([0.0, 0.0, 1.0])
expected = torch.linalg.vector_norm(torch.cat([first.grad, second.grad]), 0).item()
seen = nn.utils.clip_grad_norm_([first, second], 100.0, norm_type=0).item()
print("expected:  ", expected, "numbers that are not zero, as of torch.linalg.vector_norm")
print("seen:      ", seen)
raise SystemExit(seen != expected)
