"""Uint8 indices are taken."""

import torch

y = torch.tensor([0, 1, 2], dtype=torch.uint8)
try:
    seen, wrong = torch.nn.CrossEntropyLoss()(torch.ones(3, 5), y), True
except RuntimeError as error:
    seen, wrong = error, False
print("documented:", "class indices must be of dtype long")
print("seen:      ", seen)
raise SystemExit(int(wrong))
