"""Docstring of torch.optim.lr_scheduler.CyclicLR.get_lr: rates of the same types as the current group["lr"]."""

import warnings

import torch
from torch.optim.lr_scheduler import CyclicLR

warnings.simplefilter("ignore")
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=torch.tensor(0.5), momentum=0.5)
scheduler = CyclicLR(optimizer, 0.1, 0.5)
group, seen = type(optimizer.param_groups[0]["lr"]), type(scheduler.get_lr()[0])
print("documented: get_lr() returns the type of the group's rate,", group)
print("seen:", seen)
raise SystemExit(seen is not group)
