import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR


def optimizer(rate=0.5, **more):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.5, **more)


seen = OneCycleLR(optimizer(), 1.0, total_steps=3, pct_start=0.3, div_factor=4).get_last_lr()
print("documented: the first rate is max_lr / div_factor = 0.25")
print("seen:", seen)
raise SystemExit(seen != [0.25])
