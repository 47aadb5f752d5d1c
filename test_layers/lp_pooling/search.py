"""Counter-examples to power-average pooling."""

import numpy as np
import torch

from test_layers.lp_pooling.test_lp import check, relative
from torchclaims import claim
from torchclaims.reference.pooling import lp_pool_backward
from torchclaims.reference.windows import Windows
from torchclaims.search import search
from torchclaims.tolerance import assert_within, roundings


@claim("lppool-values", "lppool-gradients")
@search
def test_lp(cell, script):
    # AvgPool3d, which LPPool3d calls, is not implemented in half precision on the CPU.
    half = cell.device.is_cpu and cell.dtype in (torch.bfloat16, torch.float16)
    (dims,) = script.integers(1, 2 if half else 3)
    kernel, stride = script.integers(1, 3, dims), script.integers(1, 3, dims)
    power = script.pick(2, 1, 3, 1.5, 4)
    sizes = [k + more for k, more in zip(kernel, script.sizes(dims, 0, 4, wide=dims < 3), strict=True)]
    # Positive numbers: of others some powers are not defined, and sums may cancel. lppool-ceil: no ceil_mode.
    x = script.tensor("x", (*script.integers(1, 3, script.pick(1, 2)), *sizes), low=0.5, high=2.0, grad=True)
    arguments = (kernel, stride) if dims > 1 else (kernel[0], stride[0])
    out = script.run("out", f"torch.nn.functional.lp_pool{dims}d(x, {power}, *{arguments})")
    windows = Windows.of(kernel, stride=stride)
    check(cell, out, x, power, windows, "roots")
    grad = script.tensor("grad", out.shape)
    (gradient,) = script.run("gradient", "torch.autograd.grad(out, [x], grad)")
    wanted, magnitude = (lp_pool_backward(one, x, power, windows) for one in (grad, abs(grad)))
    terms = int(np.prod(kernel))
    bound = 2 * relative(cell, terms) * magnitude + roundings(cell, 12 + terms, magnitude)
    assert_within(gradient, wanted, bound, what="gradient", because="each operation's gradient is rounded")
