"""notes/autograd, "Gradients for non-differentiable functions": the subgradient of minimum norm."""

import torch
import torch.nn.functional as F

CASES = {
    "max_pool1d": (lambda x: F.max_pool1d(x.view(1, 1, 3), 3), [4.0, 4.0, 1.0], [0.5, 0.5, 0.0]),
    "max_pool2d": (lambda x: F.max_pool2d(x.view(1, 1, 1, 3), (1, 3)), [4.0, 4.0, 1.0], [0.5, 0.5, 0.0]),
    "fractional_max_pool2d": (
        lambda x: F.fractional_max_pool2d(x.view(1, 1, 1, 3), (1, 3), output_size=1),
        [4.0, 4.0, 1.0],
        [0.5, 0.5, 0.0],
    ),
}
seen = {}
for name, (function, point, documented) in CASES.items():
    x = torch.tensor(point, requires_grad=True)
    function(x).sum().backward()
    seen[name] = x.grad.tolist() == documented
    print(f"{name} at {point}: documented gradient {documented}, seen {x.grad.tolist()}")
raise SystemExit(not all(seen.values()))
