"""notes/autograd, "Gradients for non-differentiable functions": the subgradient of minimum norm."""

import torch

right = True
for sign in (1, -1):
    x = torch.tensor([4.0, 4.0, 1.0], requires_grad=True)
    (sign * torch.segment_reduce(x, "max", lengths=torch.tensor([3]))).sum().backward()
    documented = [sign * 0.5, sign * 0.5, 0.0]
    right &= x.grad.tolist() == documented
    print(f"{sign} * segment_reduce max at {x.tolist()}: documented gradient {documented}, seen {x.grad.tolist()}")
raise SystemExit(not right)
