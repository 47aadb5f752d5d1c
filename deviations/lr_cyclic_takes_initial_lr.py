import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CyclicLR, ExponentialLR


def optimizer(rate=0.5, **more):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.5, **more)


shared = optimizer()
ExponentialLR(shared, 0.5)
seen = CyclicLR(shared, 0.125, 1.0).get_last_lr()
print("documented: the initial rate is base_lr = 0.125")
print("seen:", seen)
raise SystemExit(seen != [0.125])
