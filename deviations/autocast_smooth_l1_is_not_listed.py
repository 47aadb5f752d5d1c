"""notes/amp, "CPU Op-Specific Behavior": the lists of what is cast."""

import torch

x = torch.zeros(2, dtype=torch.bfloat16)
with torch.autocast("cpu"):
    seen = torch.nn.functional.smooth_l1_loss(x, x).dtype
print("documented: not on a list, so that smooth_l1_loss of bfloat16 runs in torch.bfloat16")
print("seen:", seen)
raise SystemExit(seen != torch.bfloat16)
