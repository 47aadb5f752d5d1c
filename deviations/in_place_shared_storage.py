"""notes/autograd, "In-place operations": an error if another Tensor refers to the storage."""

import torch

x = torch.ones(4, requires_grad=True) * 1
y = x[:2]
try:
    x.mul_(3)
except RuntimeError as error:
    print(f"documented an error, seen {error}")
    raise SystemExit(0) from None
print(f"documented an error because y refers to the storage of x; seen x = {x.tolist()}, y = {y.tolist()}")
raise SystemExit(1)
