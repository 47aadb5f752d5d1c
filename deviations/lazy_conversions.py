"""Docstring of torch.nn.UninitializedParameter: its dtype and device can be changed. Not by each conversion."""

import torch

differences = 0
try:
    torch.nn.LazyLinear(2).bfloat16()
except ValueError as error:
    print("documented: bfloat16() changes the dtype; seen:", str(error)[:80])
    differences += 1
moved = torch.nn.LazyLinear(2).to("meta").weight
print("documented: to('meta') leaves it uninitialised; seen:", type(moved).__name__)
differences += not isinstance(moved, torch.nn.UninitializedParameter)
raise SystemExit(differences > 0)
