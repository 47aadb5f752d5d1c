"""fuse_conv_bn_eval with a transposed convolution of two groups."""

import torch
from torch.nn.utils import fuse_conv_bn_eval

conv, norm = torch.nn.ConvTranspose2d(4, 8, 2, groups=2).eval(), torch.nn.BatchNorm2d(8).eval()
print("documented: a fused convolution")
try:
    print("seen:", fuse_conv_bn_eval(conv, norm, transpose=True))
except RuntimeError as error:
    print("seen: RuntimeError:", error)
    raise SystemExit(1) from None
