"""Docstring of lr_scheduler.CosineAnnealingWarmRestarts: T_cur = 0 after a restart, where the rate is eta_max."""

import torch
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5, momentum=0.5)
scheduler = CosineAnnealingWarmRestarts(optimizer, T_0=1, T_mult=3)
scheduler.step(121)
seen = scheduler.get_last_lr()
print("documented: epoch 121 = 1 + 3 + 9 + 27 + 81 is one of a restart: the base rate, 0.5")
print("seen:", seen)
raise SystemExit(seen != [0.5])
