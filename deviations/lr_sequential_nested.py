import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import ChainedScheduler, ExponentialLR, SequentialLR


def optimizer(rate=0.5, **more):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.5, **more)


__import__("warnings").simplefilter("ignore")
shared = optimizer()
seen = SequentialLR(shared, [ChainedScheduler([ExponentialLR(shared, 0.5)])], []).get_last_lr()
print("documented: a sequence of one begins as that one does: 0.5")
print("seen:", seen)
raise SystemExit(seen != [0.5])
