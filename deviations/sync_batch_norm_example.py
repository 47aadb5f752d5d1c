"""Docstring of torch.nn.SyncBatchNorm: its example without learnable parameters."""

import torch

print("documented: m = nn.BatchNorm3d(100, affine=False, process_group=process_group)")
try:
    print("seen:", torch.nn.BatchNorm3d(100, affine=False, process_group=None))
except TypeError as error:
    print("seen: TypeError:", error)
    raise SystemExit(1) from None
