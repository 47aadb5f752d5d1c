import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import ConstantLR


def optimizer(rate=0.5, **more):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.5, **more)


seen = ConstantLR(optimizer(), factor=0.25, total_iters=0).get_last_lr()
print("documented: with total_iters=0 the factor is never applied: the rate is 0.5")
print("seen:", seen)
raise SystemExit(seen != [0.5])
