"""What lies behind the last offset is counted by the mean's divisor, and belongs to the last bag for the maximum,
and in float64 for all modes."""

import torch

weight, index, offsets = torch.tensor([[1.0], [5.0], [9.0]]), torch.tensor([0, 1, 2]), torch.tensor([0, 2])
bag = torch.nn.functional.embedding_bag
seen = [bag(index, weight, offsets, mode=m, include_last_offset=True).item() for m in ("sum", "mean", "max")]
wrong = seen != [6.0, 3.0, 5.0]
print("documented:", "the last offset may be the position where the last bag ends: 6, 3 and 5")
print("seen:      ", seen)
raise SystemExit(int(wrong))
