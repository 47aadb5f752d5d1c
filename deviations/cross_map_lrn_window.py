"""CrossMapLRN2d's window, of one channel each."""

import torch

x = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1, 1)
seen = (x / torch.nn.CrossMapLRN2d(1, alpha=1.0, beta=1.0, k=0.0)(x)).flatten().tolist()
print("documented: the square of each channel:", [1, 4, 9, 16])
print("seen, with the first channel's in each:", seen)
raise SystemExit(int(abs(seen[1] - 4) > 1e-3))
