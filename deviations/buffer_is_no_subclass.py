"""Documented: Buffers are Tensor subclasses. Seen: a Buffer is a plain Tensor with a mark."""

import torch

seen = type(torch.nn.Buffer(torch.zeros(1)))
print("documented: a subclass of Tensor; seen:", seen)
raise SystemExit(seen is torch.Tensor)
