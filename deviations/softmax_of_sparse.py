"""Docstring of torch.nn.Softmax: of a sparse tensor, unspecified values are treated as -inf."""

import torch

documented = [[0.0, 1.0], [1.0, 0.0]]
try:
    seen = torch.nn.Softmax(1)(torch.tensor([[0.0, 2.0], [1.0, 0.0]]).to_sparse()).to_dense().tolist()
except NotImplementedError as error:
    seen = str(error).split(". ")[0]
print(f"documented: {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
