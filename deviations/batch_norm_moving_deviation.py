"""Docstrings of torch.nn.BatchNorm2d and BatchNorm3d: what is stored in the moving average."""

import torch

norm = torch.nn.BatchNorm2d(1, momentum=1.0)
norm(torch.tensor([0.0, 2.0, 4.0, 10.0]).reshape(4, 1, 1, 1))
print("documented (BatchNorm2d, BatchNorm3d): the standard deviation, 4.3205; seen:", norm.running_var.item())
raise SystemExit(int(abs(norm.running_var.item() - 4.3205) > 1e-3))
