"""Documented: with strict=True the keys must exactly match. Seen: those below a child that is None are ignored."""

import torch

module = torch.nn.Module()
module.register_module("child", None)
try:
    seen = module.load_state_dict({"child.weight": torch.zeros(1)}, strict=True)
except RuntimeError as error:
    print("documented and seen:", error)
else:
    print("documented: RuntimeError, since child.weight is no key of the module; seen:", seen)
    raise SystemExit(1)
