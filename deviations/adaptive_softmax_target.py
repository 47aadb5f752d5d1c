"""Docstring of torch.nn.AdaptiveLogSoftmaxWithLoss, target: 0 <= target[i] <= n_classes."""

import torch

layer, documented = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 6, [2]), "a loss"
try:
    seen = "a loss" if layer(torch.zeros(1, 8), torch.tensor([6])).loss.shape == () else "none"
except RuntimeError as error:
    seen = str(error)
print(f"documented: {documented}, of 6 classes and a target of 6")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
