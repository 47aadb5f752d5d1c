import torch
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts


def make(optimizer, last_epoch=-1):
    return CosineAnnealingWarmRestarts(optimizer, 2, 2, last_epoch=last_epoch)


optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
first = make(optimizer)
optimizer.step()
for _ in range(7):
    first.step()
expected = first.get_last_lr()
seen = make(optimizer, last_epoch=7 - 1).get_last_lr()
print("documented: the rate of epoch 7 again,", expected)
print("seen:", seen)
raise SystemExit(seen != expected)
