"""Docstring of torch.nn.MultiMarginLoss, reduction. The CPU kernel returns before it writes what an empty batch has."""

import torch

loss, y = torch.nn.MultiMarginLoss(reduction="sum"), torch.zeros(0, dtype=torch.long)
dirt = [torch.full((1,), 7.0) for _ in range(999)]
del dirt
seen = [loss(torch.ones(0, 4), y).item() for _ in range(5)]
wrong = any(seen)
print("documented:", "the sum over an empty batch is 0")
print("seen:      ", seen)
raise SystemExit(int(wrong))
