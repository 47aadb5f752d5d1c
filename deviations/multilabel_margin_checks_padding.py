"""Docstring of torch.nn.MultiLabelMarginLoss: targets up to the first -1. All are checked to be classes."""

import torch

y = torch.tensor([[3, 0, -1, 99]])
try:
    seen, wrong = torch.nn.MultiLabelMarginLoss()(torch.ones(1, 4), y), False
except RuntimeError as error:
    seen, wrong = error, True
print("documented:", "only the block of non-negative targets at the front is considered")
print("seen:      ", seen)
raise SystemExit(int(wrong))
