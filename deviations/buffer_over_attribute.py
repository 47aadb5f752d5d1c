"""Docstring of torch.nn.Buffer: assigned as an attribute it is added to the buffers. Not where the attribute exists."""

import torch

module = torch.nn.Module()
module.mean = None
try:
    module.mean = torch.nn.Buffer(torch.zeros(1))
except KeyError as error:
    print("documented: one buffer, as a Parameter would be registered; seen: KeyError", error)
    raise SystemExit(1) from None
print("documented and seen:", list(module.buffers()))
