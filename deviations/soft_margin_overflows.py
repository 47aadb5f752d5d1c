"""Log(1 + exp(-y x)) is computed as written and overflows, from y x < -88.7 in float32; the gradient is NaN."""

import torch

x = torch.tensor([-1000.0], requires_grad=True)
loss = torch.nn.SoftMarginLoss()(x, torch.ones(1))
seen = loss.item(), torch.autograd.grad(loss, x)[0].item()
wrong = seen != (1000.0, -1.0)
print("documented:", "log(1 + exp(1000)) = 1000, with slope -1")
print("seen:      ", seen)
raise SystemExit(int(wrong))
