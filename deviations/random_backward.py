"""notes/autograd, "Gradients for non-differentiable functions": a random function errors out in the backward."""

import torch

SAMPLERS = {"bernoulli": torch.bernoulli, "poisson": torch.poisson, "normal": lambda x: torch.normal(x, 1.0)}
silent = 0
for name, sample in SAMPLERS.items():
    x = torch.tensor([0.25, 0.75], requires_grad=True)
    try:
        sample(x).sum().backward()
    except RuntimeError as error:
        print(f"{name}: documented an error in the backward, seen {error}")
    else:
        silent += 1
        print(f"{name}: documented an error in the backward, seen the gradient {x.grad.tolist()}")
raise SystemExit(silent > 0)
