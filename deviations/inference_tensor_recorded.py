"""Docstring of torch.inference_mode, notes/autograd: its tensors cannot be used in what autograd records."""

import torch

with torch.inference_mode():
    t = torch.ones(2)
x = torch.ones(2, requires_grad=True)
try:
    y = x + t
except RuntimeError as error:
    print(f"documented an error, seen {error}")
    raise SystemExit(0) from None
print(f"documented that t cannot be used in what autograd records, seen {y.grad_fn}")
raise SystemExit(1)
