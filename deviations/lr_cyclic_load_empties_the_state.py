import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CyclicLR


def optimizer(rate=0.5, **more):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.5, **more)


scheduler, seen = CyclicLR(optimizer(), 0.1, 0.5), "loaded twice"
saved = scheduler.state_dict()
scheduler.load_state_dict(saved)
try:
    scheduler.load_state_dict(saved)
except KeyError as error:
    seen = repr(error)
print("documented: what state_dict() returned can be loaded")
print("seen:", seen)
raise SystemExit(seen != "loaded twice")
