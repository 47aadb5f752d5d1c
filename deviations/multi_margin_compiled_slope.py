"""notes/autograd, "Gradients for non-differentiable functions": the subgradient of minimum norm; torch.compile."""

import torch
from torch.nn import functional as F

LOSSES = {
    "multi_margin_loss": lambda x: F.multi_margin_loss(x, torch.tensor([1])),
    "multilabel_margin_loss": lambda x: F.multilabel_margin_loss(x, torch.tensor([[1, -1, -1]])),
}
wrong = []
for name, loss in LOSSES.items():
    x = torch.tensor([[0.0, 1.0, 0.0]], requires_grad=True)
    torch.compile(loss, backend="aot_eager")(x).backward()
    wrong.append(bool(x.grad.any()))
    print(f"{name} at its margin, documented: [0, 0, 0]")
    print("seen:", x.grad.tolist())
raise SystemExit(any(wrong))
