"""Docstring of torch.nn.Embedding, max_norm: the norm that rows are given. The kernel divides by norm + 1e-7."""

import torch

layer = torch.nn.Embedding(1, 1, max_norm=2.0**-24)
layer.weight.data.fill_(2.0**-23)
seen = layer(torch.tensor([0])).item() * 2.0**24
wrong = abs(seen - 1) > 1e-5
print("documented:", "a row of a larger norm is given the norm max_norm, here 2**-24")
print("seen:       a norm of", seen, "times max_norm")
raise SystemExit(int(wrong))
