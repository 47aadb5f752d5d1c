"""notes/numerical_accuracy: A.sum(-1)[0] need not be bitwise equal to A[:,0].sum()."""

import torch

A = torch.tensor([[1.0, 2.0], [4.0, 8.0]])
row, column = A.sum(-1)[0].item(), A[:, 0].sum().item()
print(f"documented: A.sum(-1)[0] is A[:, 0].sum() but for rounding; seen: {row:g} and {column:g}")
raise SystemExit(row != column)
