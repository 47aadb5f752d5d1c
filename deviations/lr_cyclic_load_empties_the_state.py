"""Docstring of load_state_dict of lr_schedulers: the state should be an object returned from state_dict."""

import torch
from torch.optim.lr_scheduler import CyclicLR

optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5, momentum=0.5)
scheduler, seen = CyclicLR(optimizer, 0.1, 0.5), "loaded twice"
saved = scheduler.state_dict()
scheduler.load_state_dict(saved)
try:
    scheduler.load_state_dict(saved)
except KeyError as error:
    seen = repr(error)
print("documented: what state_dict() returned can be loaded")
print("seen:", seen)
raise SystemExit(seen != "loaded twice")
