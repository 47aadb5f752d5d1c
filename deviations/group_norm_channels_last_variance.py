"""GroupNorm of a channels-last input whose mean is large beside its standard deviation."""

import torch

x = 4096 + torch.tensor([-0.5, 0.5]).repeat(16).reshape(1, 2, 4, 4)
norm = torch.nn.GroupNorm(1, 2)
print("documented: (x - mean) / sqrt(torch.var(x, correction=0) + eps), which is -0.99998 and 0.99998")
print("seen, contiguous:   ", norm(x).flatten()[:2].tolist())
seen = norm(x.contiguous(memory_format=torch.channels_last))
print("seen, channels last:", seen.flatten()[:2].tolist())
raise SystemExit(int(seen.abs().max() > 1.01))
