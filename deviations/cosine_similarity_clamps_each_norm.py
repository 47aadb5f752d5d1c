"""Each norm is held at eps, not their product."""

import torch

x, y = torch.tensor([2.0**-30, 0.0]), torch.tensor([2.0**30, 0.0])
seen = torch.nn.CosineSimilarity(dim=0, eps=2.0**-27)(x, y).item()
wrong = seen != 1.0
print("documented:", "x1 . x2 / max(|x1| |x2|, eps), which is 1 here")
print("seen:      ", seen)
raise SystemExit(int(wrong))
