"""Docstring of torch.nn.MultiMarginLoss, Shape: with reduction='none' an input (C) has a loss (); compiled."""

import torch
from torch import nn

CASES = {nn.MultiMarginLoss: torch.tensor(1), nn.MultiLabelMarginLoss: torch.tensor([1, 0, 2, 3])}
wrong = []
for kind, target in CASES.items():
    seen = torch.compile(kind(reduction="none"), backend="aot_eager")(torch.arange(4.0), target).shape
    wrong.append(seen != ())
    print(f"{kind.__name__}, documented: (), seen: {tuple(seen)}")
raise SystemExit(any(wrong))
