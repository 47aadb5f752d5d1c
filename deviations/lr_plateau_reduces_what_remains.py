"""Docstring of lr_scheduler.ReduceLROnPlateau, patience: what happens from the third epoch onwards."""

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5, momentum=0.5)
scheduler, seen = ReduceLROnPlateau(optimizer, factor=0.5, patience=0), []
for _ in range(4):
    scheduler.step(1.0)
    seen += [group["lr"] for group in scheduler.optimizer.param_groups]
print("documented: a metric that remains the same does not adjust the rate from the third epoch on")
print("seen, after each of four epochs of the same metric:", seen)
raise SystemExit(seen[3] != seen[2])
