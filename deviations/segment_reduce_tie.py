"""notes/autograd, "Gradients for non-differentiable functions": the subgradient of minimum norm."""

import torch

THREE = torch.tensor([3])

CASES = {
    "segment_reduce max": (lambda x: torch.segment_reduce(x, "max", lengths=THREE), [4.0, 4.0, 1.0], [0.5, 0.5, 0.0]),
    "the same, negated": (
        lambda x: -torch.segment_reduce(x, "max", lengths=THREE),
        [4.0, 4.0, 1.0],
        [-0.5, -0.5, -0.0],
    ),
}
seen = {}
for name, (function, point, documented) in CASES.items():
    x = torch.tensor(point, requires_grad=True)
    function(x).sum().backward()
    seen[name] = x.grad.tolist() == documented
    print(f"{name} at {point}: documented gradient {documented}, seen {x.grad.tolist()}")
raise SystemExit(not all(seen.values()))
