"""Hardsigmoid: x / 6 + 1 / 2, so the slope is 1 / 6 in float64."""

import torch

x = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
torch.nn.functional.hardsigmoid(x).backward()
seen, documented = x.grad.item(), 1 / 6
print(f"documented: {documented}")
print(f"seen:       {seen}")
raise SystemExit(abs(seen - documented) > 1e-12)
