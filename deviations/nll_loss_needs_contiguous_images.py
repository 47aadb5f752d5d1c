"""Nll_loss2d's backward allocates its gradient with the input's strides and then requires it to be contiguous: of
images whose axes were permuted the gradient is an error."""

import torch

x = torch.randn(2, 4, 5, 3).permute(0, 3, 1, 2).detach().requires_grad_()
loss = torch.nn.NLLLoss()(x, torch.zeros(2, 4, 5).long())
try:
    seen, wrong = torch.autograd.grad(loss, x)[0].shape, False
except RuntimeError as error:
    seen, wrong = error, True
print("documented:", "the gradient of NLLLoss for images in any memory layout")
print("seen:      ", seen)
raise SystemExit(int(wrong))
