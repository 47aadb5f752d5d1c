"""Docstring of torch.nn.LayerNorm: y = ... + beta, so that the float32 bias' gradient is a sum; of many half rows."""

import torch

deviates = False
torch.set_num_threads(1)
for dtype in (torch.bfloat16, torch.float16):
    norm = torch.nn.LayerNorm(2)
    norm(torch.tensor([[-1.0, 1.0]]).repeat(4096, 1).to(dtype)).backward(torch.ones(4096, 2, dtype=dtype))
    print(f"{dtype}: documented, the sum of 4096 ones, 4096; seen", norm.bias.grad[0].item())
    deviates |= norm.bias.grad[0].item() != 4096
raise SystemExit(int(deviates))
