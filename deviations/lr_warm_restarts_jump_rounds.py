import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts


def optimizer(rate=0.5, **more):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.5, **more)


scheduler = CosineAnnealingWarmRestarts(optimizer(), T_0=1, T_mult=3)
scheduler.step(121)
seen = scheduler.get_last_lr()
print("documented: epoch 121 = 1 + 3 + 9 + 27 + 81 is one of a restart: the base rate, 0.5")
print("seen:", seen)
raise SystemExit(seen != [0.5])
