"""notes/autograd, "Gradients for non-differentiable functions": the subgradient of minimum norm."""

import torch

CASES = {
    "max(dim)": (lambda x: x.max(0).values, [4.0, 4.0, 1.0], [0.5, 0.5, 0.0]),
    "topk(1)": (lambda x: x.topk(1).values, [4.0, 4.0, 1.0], [0.5, 0.5, 0.0]),
    "sort": (lambda x: x.sort().values[-1], [4.0, 4.0, 1.0], [0.5, 0.5, 0.0]),
    "kthvalue": (lambda x: x.kthvalue(3).values, [4.0, 4.0, 1.0], [0.5, 0.5, 0.0]),
    "cummax": (lambda x: x.cummax(0).values[-1], [4.0, 4.0, 1.0], [0.5, 0.5, 0.0]),
    "quantile(1)": (lambda x: x.quantile(1.0), [4.0, 4.0, 1.0], [0.5, 0.5, 0.0]),
}
seen = {}
for name, (function, point, documented) in CASES.items():
    x = torch.tensor(point, requires_grad=True)
    function(x).sum().backward()
    seen[name] = x.grad.tolist() == documented
    print(f"{name} at {point}: documented gradient {documented}, seen {x.grad.tolist()}")
raise SystemExit(not all(seen.values()))
