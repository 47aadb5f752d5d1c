"""fuse_linear_bn_eval of a batch normalisation without affine parameters."""

from torch import nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

print("documented: fuses a Linear and a BatchNorm module; both in eval mode, with running buffers")
linear, norm = nn.Linear(3, 4).eval(), nn.BatchNorm1d(4, affine=False).eval()
try:
    print("seen:      ", fuse_linear_bn_eval(linear, norm))
except TypeError as error:
    print("seen:       TypeError:", error)
    raise SystemExit(1) from None
