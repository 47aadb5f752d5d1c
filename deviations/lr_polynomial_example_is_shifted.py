"""Docstring of torch.optim.lr_scheduler.PolynomialLR: the rates of its example."""

import inspect
import warnings

import torch
from torch.optim.lr_scheduler import PolynomialLR

warnings.simplefilter("ignore")
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
rows = [line.split("# ")[1] for line in inspect.getdoc(PolynomialLR).splitlines() if "# lr = " in line]
scheduler = PolynomialLR(optimizer, total_iters=50, power=0.9)
seen = []
for _ in range(3):
    seen.append(round(optimizer.param_groups[0]["lr"], 7))
    scheduler.step()
print("documented:", *rows, sep="\n    ")
print("seen:", seen)
raise SystemExit(seen[0] != 0.0490991)
