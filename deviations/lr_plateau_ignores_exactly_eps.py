"""Docstring of lr_scheduler.ReduceLROnPlateau, eps: if the difference is smaller than eps, the update is ignored."""

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5, momentum=0.5)
scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=0, eps=0.25)
scheduler.step(1.0)
scheduler.step(2.0)
seen = [group["lr"] for group in scheduler.optimizer.param_groups]
print("documented: only reductions smaller than eps = 0.25 are ignored: from 0.5 by 0.25, to [0.25]")
print("seen:", seen)
raise SystemExit(seen != [0.25])
