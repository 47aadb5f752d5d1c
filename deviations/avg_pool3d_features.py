"""Docstring of torch.nn.functional.avg_pool3d: the number of output features is floor(input planes / sT)."""

import torch

seen = torch.nn.functional.avg_pool3d(torch.ones(1, 4, 4, 4, 4), 2, stride=2).shape[1]
documented = 4 // 2
print(f"documented: {documented} features of the 4 that go in")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
