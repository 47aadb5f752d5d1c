"""Docstring of torch.optim.lr_scheduler.StepLR, last_epoch: the index of last epoch."""

import torch
from torch.optim.lr_scheduler import StepLR


def make(optimizer, last_epoch=-1):
    return StepLR(optimizer, 3, 0.5, last_epoch=last_epoch)


optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
first = make(optimizer)
optimizer.step()
for _ in range(3):
    first.step()
expected = first.get_last_lr()
seen = make(optimizer, last_epoch=3 - 1).get_last_lr()
print("documented: the rate of epoch 3 again,", expected)
print("seen:", seen)
raise SystemExit(seen != expected)
