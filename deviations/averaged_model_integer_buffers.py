import torch
from torch.optim.swa_utils import AveragedModel, get_swa_multi_avg_fn

model, seen = torch.nn.BatchNorm1d(2), "averages"
averaged = AveragedModel(model, multi_avg_fn=get_swa_multi_avg_fn(), use_buffers=True)
averaged.update_parameters(model)
try:
    averaged.update_parameters(model)
except RuntimeError as error:
    seen = str(error)[:50]
print("documented: averages of parameters and buffers")
print("seen:", seen)
raise SystemExit(seen != "averages")
