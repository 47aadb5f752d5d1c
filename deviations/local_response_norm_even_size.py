"""Docstring of torch.nn.LocalResponseNorm: the formula, with a window of an even size."""

import torch

x = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1)
seen = (x / torch.nn.LocalResponseNorm(2, alpha=2.0, beta=1.0, k=0.0)(x)).flatten().tolist()
print("documented: squares from c - n/2 to c + n/2, for n = 2:", [1 + 4, 1 + 4 + 9, 4 + 9 + 16, 9 + 16])
print("seen:", seen)
raise SystemExit(int(abs(seen[0] - 5) > 1e-3))
