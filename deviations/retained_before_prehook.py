"""notes/autograd, "Backward Hooks execution": the order in which hooks are fired."""

import torch

x = torch.ones(1, requires_grad=True)
y = x * 2
y.retain_grad()
y.grad_fn.register_prehook(lambda gradients: (gradients[0] * 5,))
y.sum().backward()
print(f"documented order: pre-hook of the node, then .grad of a tensor that retains it: 5.0; seen {y.grad.item()}")
raise SystemExit(y.grad.item() != 5)
