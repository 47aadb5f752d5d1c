"""A step of SGD changes the gradients, but only by the foreach implementation with Nesterov's momentum."""

import torch

changed = False
for foreach in (False, True):
    p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = torch.optim.SGD([p], lr=0.5, momentum=0.5, nesterov=True, foreach=foreach)
    p.grad = torch.tensor([1.0, -1.0])
    optimizer.step()
    print(f"documented, foreach={foreach}: the gradient stays [1.0, -1.0]; seen: {p.grad.tolist()}")
    changed |= p.grad.tolist() != [1.0, -1.0]
raise SystemExit(int(changed))
