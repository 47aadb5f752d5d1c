import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CyclicLR


def optimizer(rate=0.5, **more):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.5, **more)


scheduler = CyclicLR(optimizer(), 0.0, 1.0, step_size_up=2, mode="exp_range", gamma=0.5)
scheduler.optimizer.step()
seen = []
for _ in range(7):
    seen += scheduler.get_last_lr()
    scheduler.step()
seen = seen[2], seen[6]
print("documented: gamma ** iterations since the start of the cycle: every peak as high as the first")
print("seen:", seen)
raise SystemExit(seen[0] != seen[1])
