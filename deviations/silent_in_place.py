"""notes/autograd, "In-place correctness checks": not seeing any errors, the gradients are correct."""

import torch

a = torch.tensor([2.0], requires_grad=True)
b = a * 1
c = b * b
b.data.mul_(10)
c.backward()
print(f"documented that without an error the gradient is right, 4; seen {a.grad.item():g}")
raise SystemExit(a.grad.item() != 4)
