"""Docstring of torch.optim.swa_utils.SWALR: the names of its arguments."""

import inspect

import torch
from torch.optim.swa_utils import SWALR

documented = ["swa_lrs", "annealing_epochs", "annealing_strategy"]
seen = list(inspect.signature(SWALR).parameters)
print("documented:", documented)
print("seen:", seen, "in", torch.__version__)
raise SystemExit(not set(documented) <= set(seen))
