"""A full backward pre hook that returns a Tensor, as its documented signature allows."""

import torch
from torch import nn

print("documented: hook(module, grad_output) -> tuple[Tensor, ...], Tensor or None; the result replaces grad_output")
layer = nn.Tanh()
layer.register_full_backward_pre_hook(lambda module, grad_output: grad_output[0] * 10)
x = torch.zeros(2, requires_grad=True)
try:
    layer(x).sum().backward()
    seen = x.grad.tolist()
except RuntimeError as error:
    seen = f"RuntimeError: {error}"
print("expected:   [10.0, 10.0]")
print("seen:      ", seen)
raise SystemExit(seen != [10.0, 10.0])
