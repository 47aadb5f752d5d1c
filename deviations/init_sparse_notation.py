"""Docstring of torch.nn.init.sparse_: drawn from N(0, 0.01); elsewhere in torch.nn.init it is N(mean, std^2)."""

import torch

torch.manual_seed(0)
weight = torch.nn.init.sparse_(torch.empty(200, 200), 0.1)
seen = weight[weight != 0].var().item()
print("documented: N(0, 0.01), a variance of 0.01")
print("seen: a variance of", seen)
raise SystemExit(abs(seen - 0.01) > 0.001)
