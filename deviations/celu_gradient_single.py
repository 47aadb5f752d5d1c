"""Docstring of torch.nn.CELU: alpha (exp(x / alpha) - 1), so the slope is exp(x / alpha), in float64 too."""

import math

import torch

x = torch.tensor([-0.5], dtype=torch.float64, requires_grad=True)
torch.nn.functional.celu(x, 0.7).backward()
seen, documented = x.grad.item(), math.exp(-0.5 / 0.7)
print(f"documented: a gradient of {documented}")
print(f"seen:       a gradient of {seen}")
raise SystemExit(abs(seen - documented) > 1e-12)
