"""Docstring of torch.nn.init.trunc_normal_: values outside [a, b] are redrawn until they are within the bounds."""

import torch

torch.manual_seed(0)
seen = torch.nn.init.trunc_normal_(torch.empty(200, 200, dtype=torch.bfloat16), a=-2.0, b=0.999).max().item()
print("documented: values outside [-2, 0.999] are drawn again")
print("seen: a largest value of", seen)
raise SystemExit(seen > 0.999)
