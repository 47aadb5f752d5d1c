"""notes/numerical_accuracy: A.sum(-1)[0] need not be bitwise equal to A[:,0].sum()."""

import torch

A = torch.tensor([[1.0, 2.0], [4.0, 8.0]])
row, column = A.sum(-1)[0].item(), A[:, 0].sum().item()
print(f"A.sum(-1)[0] is {row:g}; A[:, 0].sum(), documented as equal but for rounding, is {column:g}")
raise SystemExit(row != column)
