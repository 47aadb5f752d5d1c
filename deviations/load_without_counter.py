"""Documented: with strict=True the keys must exactly match. Seen: a plain dict may lack num_batches_tracked."""

import torch

module = torch.nn.BatchNorm1d(2)
state = dict(module.state_dict())
del state["num_batches_tracked"]
try:
    seen = module.load_state_dict(state, strict=True)
except RuntimeError as error:
    print("documented and seen:", error)
else:
    print("documented: RuntimeError, since num_batches_tracked is missing; seen:", seen)
    raise SystemExit(1)
