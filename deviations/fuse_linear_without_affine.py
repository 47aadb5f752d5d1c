"""fuse_linear_bn_eval with a BatchNorm1d without affine parameters, which fuse_conv_bn_eval takes."""

import torch
from torch.nn.utils import fuse_linear_bn_eval

print("documented: bn is a BatchNorm module")
try:
    print("seen:", fuse_linear_bn_eval(torch.nn.Linear(5, 4).eval(), torch.nn.BatchNorm1d(4, affine=False).eval()))
except TypeError as error:
    print("seen: TypeError:", error)
    raise SystemExit(1) from None
