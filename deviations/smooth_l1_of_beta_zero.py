"""notes/autograd, "Gradients for non-differentiable functions": the subgradient of minimum norm."""

import torch
import torch.nn.functional as F

CASES = {
    "smooth_l1_loss(beta=0)": (lambda x: F.smooth_l1_loss(x, torch.zeros(1), beta=0.0), [0.0], [0.0]),
}
seen = {}
for name, (function, point, documented) in CASES.items():
    x = torch.tensor(point, requires_grad=True)
    function(x).sum().backward()
    seen[name] = x.grad.tolist() == documented
    print(f"{name} at {point}: documented gradient {documented}, seen {x.grad.tolist()}")
raise SystemExit(not all(seen.values()))
