"""InstanceNorm2d of one sample whose output's gradient is in channels-last format."""

import torch

x = torch.tensor([[[[0.0, 5, 3], [1, 6, 4]], [[2, 0, 5], [3, 1, 6]]]], dtype=torch.float64)
grad = torch.arange(12.0, dtype=torch.float64).reshape(1, 2, 2, 3)
seen = []
for layout in (torch.contiguous_format, torch.channels_last):
    norm = torch.nn.InstanceNorm2d(2, affine=True).double()
    leaf = x.clone().requires_grad_()
    norm(leaf).backward(grad.contiguous(memory_format=layout))
    seen.append((leaf.grad, norm.bias.grad))
print("documented: the bias' gradient is the sum of the output's:", grad.sum((0, 2, 3)).tolist())
print("seen, contiguous gradient:   ", seen[0][1].tolist())
print("seen, channels-last gradient:", seen[1][1].tolist())
print("largest difference of the input's gradients:", float((seen[0][0] - seen[1][0]).abs().max()))
raise SystemExit(int(not torch.allclose(seen[0][0], seen[1][0]) or not torch.allclose(seen[0][1], seen[1][1])))
