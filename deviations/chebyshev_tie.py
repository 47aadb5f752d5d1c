"""notes/autograd, "Gradients for non-differentiable functions": the subgradient of minimum norm."""

import torch

CASES = {
    "cdist(inf)": (lambda x: torch.cdist(x[None], torch.zeros(1, 2), p=torch.inf), [1.0, -1.0], [0.5, -0.5]),
    "vector_norm(inf), which is the same": (lambda x: torch.linalg.vector_norm(x, torch.inf), [1.0, -1.0], [0.5, -0.5]),
}
seen = {}
for name, (function, point, documented) in CASES.items():
    x = torch.tensor(point, requires_grad=True)
    function(x).sum().backward()
    seen[name] = x.grad.tolist() == documented
    print(f"{name} at {point}: documented gradient {documented}, seen {x.grad.tolist()}")
raise SystemExit(not all(seen.values()))
