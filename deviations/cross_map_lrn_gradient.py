"""CrossMapLRN2d's gradient beside differences of what it computes."""

import torch

norm = torch.nn.CrossMapLRN2d(3, alpha=0.5, beta=0.6, k=1.5)
x = torch.tensor([1.0, 2.0], dtype=torch.float64).reshape(1, 2, 1, 1).requires_grad_()
norm(x).sum().backward()
differences = []
for channel in range(2):
    step = torch.zeros_like(x)
    step[0, channel] = 1e-6
    differences.append(((norm(x + step) - norm(x - step)).sum() / 2e-6).item())
print("documented, by differences:", differences)
print("seen:", x.grad.flatten().tolist())
raise SystemExit(int(abs(x.grad.flatten()[0].item() - differences[0]) > 1e-4))
