"""Docstring of torch.nn.LazyBatchNorm1d: channels are inferred from the input. Not where nothing is to initialise."""

import torch
from torch import nn

sizes, x = [], torch.randn(2, 3, 4, 4)
for lazy, regular in ((nn.LazyConv2d(4, 1), nn.Conv2d(3, 4, 1)), (nn.LazyBatchNorm2d(), nn.BatchNorm2d(3))):
    lazy.load_state_dict(regular.state_dict())
    lazy(x)
    sizes.append(getattr(lazy, "in_channels", None) or getattr(lazy, "num_features", 0))
bare = nn.LazyBatchNorm2d(affine=False, track_running_stats=False)
bare(x)
sizes.append(bare.num_features)
print("documented: 3, 3 and 3 channels; seen:", *sizes)
raise SystemExit(sizes != [3, 3, 3])
