import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts


def optimizer(rate=0.5, **more):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.5, **more)


scheduler, seen = CosineAnnealingWarmRestarts(optimizer(), 4, eta_min=0.125), []
scheduler.optimizer.step()
for _ in range(9):
    seen += scheduler.get_last_lr()
    scheduler.step()
print("documented: eta_min = 0.125 when T_cur = T_i")
print("seen:", seen)
raise SystemExit(0.125 not in seen)
