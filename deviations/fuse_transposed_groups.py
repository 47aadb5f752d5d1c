"""fuse_conv_bn_eval of a transposed convolution with groups."""

import torch
from torch import nn

print("documented: fuses a convolutional module and a BatchNorm; transpose=True for transposed ones")
conv, norm = nn.ConvTranspose2d(4, 6, 3, groups=2).eval(), nn.BatchNorm2d(6).eval()
x = torch.ones(1, 4, 5, 5)
try:
    fused = nn.utils.fuse_conv_bn_eval(conv, norm, transpose=True)
    off = (fused(x) - norm(conv(x))).abs().max().item()
    print("seen:       off by", off)
    raise SystemExit(off > 1e-4)
except RuntimeError as error:
    print("seen:       RuntimeError:", error)
    raise SystemExit(1) from None
