"""FeatureAlphaDropout: masks entire channels; input (C, D, H, W)."""

import torch

torch.manual_seed(0)
out = torch.nn.FeatureAlphaDropout()(torch.full((16, 8, 2, 2), 2.0)).flatten(1)
seen = int((out != out[:, :1]).any(1).sum())
documented = 0  # channels masked in part
print(f"documented: {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
