"""Docstring of torch.nn.Hardsigmoid: x / 6 + 1 / 2, so the slope is 1 / 6, in float64 too."""

import torch

x = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
torch.nn.functional.hardsigmoid(x).backward()
seen, documented = x.grad.item(), 1 / 6
print(f"documented: a gradient of {documented}")
print(f"seen:       a gradient of {seen}")
raise SystemExit(abs(seen - documented) > 1e-12)
