"""Docstring of torch.nn.InstanceNorm2d: its gradient does not depend on how that of its output lies in memory."""

import torch
from torch.nn.functional import batch_norm, instance_norm

last, deviates = torch.channels_last, False
for name, function, shape in (
    ("instance_norm of one sample", instance_norm, (1, 4, 3, 3)),
    ("batch_norm of one column", lambda x: batch_norm(x, None, None, training=True), (2, 4, 3, 1)),
):
    plain = (torch.arange(36.0 if shape[0] == 1 else 24.0) * 11 % 13 - 6).view(shape)
    turned = plain.mT.contiguous(memory_format=last).mT if shape[0] > 1 else plain.contiguous(memory_format=last)
    found = []
    for gradient in (plain, turned):
        x = (torch.arange(float(plain.numel())) * 5 % 7).view(shape).requires_grad_()
        function(x).backward(gradient)
        found.append([round(value, 3) for value in x.grad.flatten()[:3].tolist()])
    print(f"{name}, the first of the gradient: documented {found[0]}, seen {found[1]}")
    deviates |= found[0] != found[1]
raise SystemExit(int(deviates))
