import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau


def optimizer(rate=0.5, **more):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.5, **more)


scheduler, seen = ReduceLROnPlateau(optimizer(), factor=0.5, patience=0), []
for _ in range(4):
    scheduler.step(1.0)
    seen += [group["lr"] for group in scheduler.optimizer.param_groups]
print("documented: a metric that remains the same does not adjust the rate: 0.5 from the third epoch on")
print("seen:", seen)
raise SystemExit(seen[3] != seen[2])
