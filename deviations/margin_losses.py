"""notes/autograd, "Gradients for non-differentiable functions": the subgradient of minimum norm."""

import torch
import torch.nn.functional as F

CASES = {
    "margin_ranking_loss": (lambda x: F.margin_ranking_loss(x, 0 * x.detach(), torch.ones(1)), [0.0], [0.0]),
    "hinge_embedding_loss": (lambda x: F.hinge_embedding_loss(x, -torch.ones(1)), [1.0], [0.0]),
}
seen = {}
for name, (function, point, documented) in CASES.items():
    x = torch.tensor(point, requires_grad=True)
    function(x).sum().backward()
    seen[name] = x.grad.tolist() == documented
    print(f"{name} at {point}: documented gradient {documented}, seen {x.grad.tolist()}")
raise SystemExit(not all(seen.values()))
