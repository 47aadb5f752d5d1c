"""notes/autograd, "Gradients for non-differentiable functions": where the function is differentiable its derivative."""

import torch
import torch.nn.functional as F

CASES = {
    "softshrink(0)": (lambda x: F.softshrink(x, 0.0), [0.0], [1.0]),
    "hardshrink(0)": (lambda x: F.hardshrink(x, 0.0), [0.0], [1.0]),
}
seen = {}
for name, (function, point, documented) in CASES.items():
    x = torch.tensor(point, requires_grad=True)
    function(x).sum().backward()
    seen[name] = x.grad.tolist() == documented
    print(f"{name} at {point}: documented gradient {documented}, seen {x.grad.tolist()}")
raise SystemExit(not all(seen.values()))
