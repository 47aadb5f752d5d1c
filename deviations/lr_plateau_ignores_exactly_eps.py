import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau


def optimizer(rate=0.5, **more):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.5, **more)


scheduler = ReduceLROnPlateau(optimizer(), factor=0.5, patience=0, eps=0.25)
scheduler.step(1.0)
scheduler.step(2.0)
seen = [group["lr"] for group in scheduler.optimizer.param_groups]
print("documented: only reductions smaller than eps = 0.25 are ignored: 0.25")
print("seen:", seen)
raise SystemExit(seen != [0.25])
