"""Docstring of torch.nn.CosineSimilarity: eps avoids a division by zero. Its default of 1e-8 is 0 in float16."""

import torch

seen = torch.nn.CosineSimilarity()(torch.zeros(1, 3).half(), torch.ones(1, 3).half()).item()
wrong = seen != 0.0
print("documented:", "the similarity with a zero vector is 0 / max(0, eps) = 0")
print("seen:      ", seen)
raise SystemExit(int(wrong))
