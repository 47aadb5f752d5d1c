import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import ChainedScheduler, ConstantLR, ExponentialLR, SequentialLR


def optimizer(rate=0.5, **more):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.5, **more)


__import__("warnings").simplefilter("ignore")
shared, seen = optimizer(), "rates"
scheduler = SequentialLR(shared, [ConstantLR(shared), ChainedScheduler([ExponentialLR(shared, 0.5)])], [1])
try:
    scheduler.step()
except NotImplementedError as error:
    seen = repr(error)
print("documented: a scheduler after another: a list of LRSchedulers")
print("seen:", seen)
raise SystemExit(seen != "rates")
