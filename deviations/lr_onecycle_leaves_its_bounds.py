import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR


def optimizer(rate=0.5, **more):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.5, **more)


scheduler = OneCycleLR(optimizer(), 0.8, total_steps=8, anneal_strategy="linear")
scheduler.optimizer.step()
for _ in range(8):
    scheduler.step()
seen = scheduler.get_last_lr()
print("documented: total_steps steps between min_lr and max_lr")
print("seen:", seen)
raise SystemExit(seen[0] < 0)
