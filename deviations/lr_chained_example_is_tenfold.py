"""Docstring of torch.optim.lr_scheduler.ChainedScheduler: the rates of its example."""

import inspect
import warnings

import torch
from torch.optim.lr_scheduler import ChainedScheduler, ConstantLR, ExponentialLR

warnings.simplefilter("ignore")
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
rows = [line.split("# ")[1] for line in inspect.getdoc(ChainedScheduler).splitlines() if "# lr = " in line]
scheduler = ChainedScheduler([ConstantLR(optimizer, factor=0.1, total_iters=20), ExponentialLR(optimizer, gamma=0.9)])
seen = []
for _ in range(3):
    seen.append(round(optimizer.param_groups[0]["lr"], 7))
    scheduler.step()
print("documented:", *rows, sep="\n    ")
print("seen:", seen)
raise SystemExit(bool(rows) and rows[0].split()[2] == "0.05" and seen[0] != 0.05)
