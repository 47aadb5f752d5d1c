"""notes/autograd, "Gradients for non-differentiable functions": the subgradient of minimum norm."""

import torch
import torch.nn.functional as F

CASES = {
    "leaky_relu(2), concave": (lambda x: F.leaky_relu(x, 2.0), [0.0], [1.0]),
    "leaky_relu(-0.5), convex": (lambda x: F.leaky_relu(x, -0.5), [0.0], [0.0]),
    "rrelu(1.5, 2.5) in evaluation": (lambda x: F.rrelu(x, 1.5, 2.5), [0.0], [1.0]),
}
seen = {}
for name, (function, point, documented) in CASES.items():
    x = torch.tensor(point, requires_grad=True)
    function(x).sum().backward()
    seen[name] = x.grad.tolist() == documented
    print(f"{name} at {point}: documented gradient {documented}, seen {x.grad.tolist()}")
raise SystemExit(not all(seen.values()))
