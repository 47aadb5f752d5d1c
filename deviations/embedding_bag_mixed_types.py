"""Int and long are promoted to long."""

import torch

index, offsets = torch.tensor([0, 1], dtype=torch.int32), torch.tensor([0])
try:
    seen, wrong = torch.nn.EmbeddingBag(3, 2)(index, offsets).shape, True
except (RuntimeError, ValueError) as error:
    seen, wrong = error, False
print("documented:", "input and offsets have to be of the same type")
print("seen:      ", seen)
raise SystemExit(int(wrong))
