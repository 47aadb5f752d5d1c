"""Docstring of torch.nn.EmbeddingBag, mode="max". The kernel compares with >, false for a NaN that is not first."""

import torch

weight = torch.tensor([[1.0], [float("nan")], [3.0]])
seen = torch.nn.functional.embedding_bag(torch.tensor([[0, 1, 2]]), weight, mode="max").item()
wrong = seen == seen
print("documented:", "mode='max' is Embedding followed by torch.max, which a NaN makes NaN")
print("seen:      ", seen)
raise SystemExit(int(wrong))
