import torch
from torch.optim.lr_scheduler import ConstantLR, ExponentialLR, SequentialLR


def make(optimizer, last_epoch=-1):
    return SequentialLR(optimizer, [ConstantLR(optimizer, 0.5), ExponentialLR(optimizer, 0.5)], [2], last_epoch)


optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
first = make(optimizer)
optimizer.step()
for _ in range(4):
    first.step()
expected = first.get_last_lr()
seen = make(optimizer, last_epoch=4 - 1).get_last_lr()
print("documented: the rate of epoch 4 again,", expected)
print("seen:", seen)
raise SystemExit(seen != expected)
