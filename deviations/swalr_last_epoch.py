import torch
from torch.optim.swa_utils import SWALR

optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
first = SWALR(optimizer, 0.1, anneal_epochs=4, anneal_strategy="linear")
optimizer.step()
first.step()
second = SWALR(optimizer, 0.1, anneal_epochs=4, anneal_strategy="linear", last_epoch=0)
second.step()
seen = round(second.get_last_lr()[0], 6)
print("documented: built with last_epoch = 0 it goes on at epoch 1; 0.3 at epoch 2")
print("seen:", seen)
raise SystemExit(seen != 0.3)
