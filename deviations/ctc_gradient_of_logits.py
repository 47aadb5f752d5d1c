"""Backward gives the gradient for logits before a log_softmax, exp(log_probs) minus the posterior, for log_probs
themselves."""

import torch

x = torch.tensor([[[0.5, 0.5]]]).log().requires_grad_()
loss = torch.nn.CTCLoss()(x, torch.tensor([[1]]), torch.tensor([1]), torch.tensor([1]))
seen = torch.autograd.grad(loss, x)[0].flatten().tolist()
wrong = seen != [0.0, -1.0]
print("documented:", "the loss is differentiable with respect to each input: -1 in all for the only frame")
print("seen:      ", seen)
raise SystemExit(int(wrong))
