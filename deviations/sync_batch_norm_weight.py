"""Docstring of torch.nn.SyncBatchNorm: the weight as it is made."""

import torch

seen = torch.nn.SyncBatchNorm(1000).weight.unique().tolist()
print("documented: drawn from U(0, 1)")
print("seen, all values:", seen)
raise SystemExit(int(seen == [1.0]))
