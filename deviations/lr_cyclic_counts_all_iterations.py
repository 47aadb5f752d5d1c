"""Docstring of lr_scheduler.CyclicLR: gamma ** (cycle iterations), training iterations since start of cycle."""

import torch
from torch.optim.lr_scheduler import CyclicLR

optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5, momentum=0.5)
scheduler = CyclicLR(optimizer, 0.0, 1.0, step_size_up=2, mode="exp_range", gamma=0.5)
scheduler.optimizer.step()
seen = []
for _ in range(7):
    seen += scheduler.get_last_lr()
    scheduler.step()
seen = seen[2], seen[6]
print("documented: gamma ** iterations since the start of the cycle: every peak as high as the first")
print("seen, the first and the second peak:", seen)
raise SystemExit(seen[0] != seen[1])
