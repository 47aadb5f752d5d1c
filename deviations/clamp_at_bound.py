"""notes/autograd, "Gradients for non-differentiable functions": the subgradient of minimum norm."""

import torch

CASES = {
    "clamp(min)": (lambda x: x.clamp(min=1.0), [1.0], [0.0]),
    "clamp(max)": (lambda x: x.clamp(max=1.0), [1.0], [0.0]),
    "clamp(min = max), a constant": (lambda x: x.clamp(1.0, 1.0), [1.0], [0.0]),
}
seen = {}
for name, (function, point, documented) in CASES.items():
    x = torch.tensor(point, requires_grad=True)
    function(x).sum().backward()
    seen[name] = x.grad.tolist() == documented
    print(f"{name} at {point}: documented gradient {documented}, seen {x.grad.tolist()}")
raise SystemExit(not all(seen.values()))
