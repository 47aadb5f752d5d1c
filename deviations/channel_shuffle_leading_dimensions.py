"""F.channel_shuffle is documented for (*, C, H, W): it should shuffle the third dimension from behind."""

import torch
from torch.nn.functional import channel_shuffle

x = torch.arange(8.0).view(2, 4, 1, 1).expand(2, 2, 4, 1, 1)
documented = torch.stack([channel_shuffle(part, 2) for part in x])[0, 0].flatten().tolist()
seen = channel_shuffle(x, 2)[0, 0].flatten().tolist()
print(f"documented {documented}, seen {seen}")
raise SystemExit(int(documented != seen))
