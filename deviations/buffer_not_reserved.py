"""notes/modules, "Module State": a buffer that is None takes nothing but a buffer. A Parameter is taken."""

import torch

module = torch.nn.Module()
module.register_buffer("buffer3", None)
try:
    module.buffer3 = torch.nn.Parameter(torch.zeros(1))
except TypeError as error:
    print("documented and seen:", error)
else:
    print("documented: an error; seen: a parameter", dict(module.named_parameters()))
    raise SystemExit(1)
