import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import ConstantLR


def optimizer(rate=0.5, **more):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.5, **more)


scheduler, seen = ConstantLR(optimizer(), factor=0.0, total_iters=2), "the base rate"
scheduler.optimizer.step()
try:
    scheduler.step(), scheduler.step()
except ZeroDivisionError as error:
    seen = repr(error)
print("documented: a factor of 0 until epoch 2, then the base rate 0.5")
print("seen:", seen)
raise SystemExit(seen != "the base rate")
