"""Docstring of torch.nn.BatchNorm1d, eps: where it is added."""

import torch

seen = torch.nn.BatchNorm1d(1, eps=3.0)(torch.tensor([[0.0], [2.0]])).flatten().tolist()
print("documented: eps is added to the denominator, 1 + 3: [-0.25, 0.25]")
print("seen, with eps in the root:", seen)
raise SystemExit(int(abs(seen[0] + 0.25) > 1e-3))
