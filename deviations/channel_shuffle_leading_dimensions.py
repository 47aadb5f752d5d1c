"""Docstring of F.channel_shuffle: of (*, C, H, W), so that the third dimension from behind is shuffled."""

import torch
from torch.nn.functional import channel_shuffle

x = torch.arange(8.0).view(2, 4, 1, 1).expand(2, 2, 4, 1, 1)
documented = torch.stack([channel_shuffle(part, 2) for part in x])[0, 0].flatten().tolist()
seen = channel_shuffle(x, 2)[0, 0].flatten().tolist()
print(f"channels 0 to 3 in two groups: documented {documented}, seen {seen}")
raise SystemExit(int(documented != seen))
