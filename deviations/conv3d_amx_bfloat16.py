"""One voxel with padding 2 gives the kernel of a bfloat16 Conv3d back, turned round; with AMX it may not."""

import torch

kernel = torch.arange(1.0, 28.0, dtype=torch.bfloat16).view(1, 1, 3, 3, 3)
voxel = torch.ones(1, 1, 1, 1, 1, dtype=torch.bfloat16)
seen = torch.nn.functional.conv3d(voxel, kernel, padding=2).flatten().tolist()
print(f"documented {kernel.flatten().flip(0).tolist()}\nseen       {seen}")
raise SystemExit(int(seen != kernel.flatten().flip(0).tolist()))
