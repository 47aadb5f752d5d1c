"""notes/autograd, "Gradients for non-differentiable functions": the subgradient of minimum norm."""

import torch
import torch.nn.functional as F

FUNCTIONS = {
    "max_pool1d": lambda x: F.max_pool1d(x.view(1, 1, 3), 3),
    "max_pool2d": lambda x: F.max_pool2d(x.view(1, 1, 1, 3), (1, 3)),
    "fractional_max_pool2d": lambda x: F.fractional_max_pool2d(x.view(1, 1, 1, 3), (1, 3), output_size=1),
}
right = True
for name, function in FUNCTIONS.items():
    x = torch.tensor([4.0, 4.0, 1.0], requires_grad=True)
    function(x).sum().backward()
    right &= x.grad.tolist() == [0.5, 0.5, 0.0]
    print(f"{name} at {x.tolist()}: documented gradient [0.5, 0.5, 0.0], seen {x.grad.tolist()}")
raise SystemExit(not right)
