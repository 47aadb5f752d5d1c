"""Docstring of torch.optim.swa_utils.SWALR, last_epoch: the index of the last epoch."""

import torch
from torch.optim.swa_utils import SWALR

optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
first = SWALR(optimizer, 0.1, anneal_epochs=4, anneal_strategy="linear")
optimizer.step()
first.step()
second = SWALR(optimizer, 0.1, anneal_epochs=4, anneal_strategy="linear", last_epoch=0)
second.step()
seen = round(second.get_last_lr()[0], 6)
print("documented: four epochs from 0.5 to 0.1; built with last_epoch=0 it goes on at epoch 1, so that epoch 2 has 0.3")
print("seen:", seen)
raise SystemExit(seen != 0.3)
