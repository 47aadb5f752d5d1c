"""Documented: the key of a parameter that is None raises RuntimeError. Seen: not with strict=False."""

import torch

module = torch.nn.Linear(1, 1, bias=False)
state = {**module.state_dict(), "bias": torch.zeros(1)}
try:
    seen = module.load_state_dict(state, strict=False)
except RuntimeError as error:
    print("documented and seen:", error)
else:
    print("documented: RuntimeError, since bias is None and its key exists; seen:", seen)
    raise SystemExit(1)
