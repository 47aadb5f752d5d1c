"""Docstrings of torch.optim.swa_utils: stochastic weight averaging, an equally weighted average."""

import torch
from torch.optim.swa_utils import AveragedModel, get_swa_multi_avg_fn

model = torch.nn.Linear(1, 1, bias=False).double()
averaged = AveragedModel(model, multi_avg_fn=get_swa_multi_avg_fn())
for value in (0.0, 0.0, 3.0):
    torch.nn.init.constant_(model.weight, value)
    averaged.update_parameters(model)
seen = averaged.module.weight.item()
print("documented: the equal average of 0, 0 and 3, in float64: 1.0")
print("seen:", seen)
raise SystemExit(abs(seen - 1) > 1e-12)
