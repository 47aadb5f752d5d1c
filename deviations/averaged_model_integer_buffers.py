"""Docstring of torch.optim.swa_utils.AveragedModel, use_buffers: averages of the parameters and the buffers."""

import torch
from torch.optim.swa_utils import AveragedModel, get_swa_multi_avg_fn

model, seen = torch.nn.BatchNorm1d(2), "averages"
averaged = AveragedModel(model, multi_avg_fn=get_swa_multi_avg_fn(), use_buffers=True)
averaged.update_parameters(model)
try:
    averaged.update_parameters(model)
except RuntimeError as error:
    seen = str(error).split(".")[0]
print("documented: averages of parameters and buffers, here also num_batches_tracked, of int64")
print("seen:", seen)
raise SystemExit(seen != "averages")
