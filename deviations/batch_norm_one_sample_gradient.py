"""Docstring of torch.nn.BatchNorm2d: one sample, whose output's gradient is a view of rows, as a Transformer's is."""

import torch

rows = torch.arange(12.0, dtype=torch.float64).reshape(6, 2)  # position by channel
seen = []
for grad in (rows.t().reshape(1, 2, 2, 3).contiguous(), rows.t()[None].unflatten(2, (2, 3))):
    norm = torch.nn.BatchNorm2d(2).double()
    x = torch.arange(12.0, dtype=torch.float64).reshape(1, 2, 2, 3).square().requires_grad_()
    norm(x).backward(grad)
    seen.append((grad, norm.bias.grad, x.grad))
print(
    "the two gradients are equal:", torch.equal(seen[0][0], seen[1][0]), "strides", *(one[0].stride() for one in seen)
)
print("documented: the bias' gradient is their sum,", rows.sum(0).tolist())
print("seen:", [one[1].tolist() for one in seen])
print("largest difference of the input's gradients:", float((seen[0][2] - seen[1][2]).abs().max()))
raise SystemExit(int(not torch.allclose(seen[0][2], seen[1][2])))
