"""Counter-examples to the sum of products that defines a convolution."""

import numpy as np

from test_layers.convolution.test_values import BECAUSE
from torchclaims import claim
from torchclaims.reference.convolution import convolve, convolve_backward
from torchclaims.reference.windows import Windows
from torchclaims.search import search
from torchclaims.tolerance import assert_within, kernel_sum_bound


@claim("conv-formula", "conv-gradients")
@search
def test_convolution(cell, script):
    (dims,) = script.integers(1, 3)
    groups, inward, outward = script.integers(1, 3, 3)
    kernel = script.integers(1, 3, dims)
    stride, dilation = script.integers(1, 3, dims), script.integers(1, 3, dims)
    padding = script.integers(0, 3, dims)
    least = [max(1, d * (k - 1) + 1 - 2 * p) for d, k, p in zip(dilation, kernel, padding, strict=True)]
    sizes = [low + more for low, more in zip(least, script.integers(0, 6, dims), strict=True)]
    (batch,) = script.integers(1, 3)
    x = script.tensor("x", (batch, groups * inward, *sizes), grad=True)
    weight = script.tensor("weight", (groups * outward, inward, *kernel), grad=True)
    bias = script.tensor("bias", (groups * outward,), grad=True)
    arguments = f"stride={stride}, padding={padding}, dilation={dilation}, groups={groups}"
    out = script.run("out", f"torch.nn.functional.conv{dims}d(x, weight, bias, {arguments})")

    windows = Windows.of(kernel, stride=stride, padding=padding, dilation=dilation)
    expected = convolve(x, weight, bias, windows, groups)
    magnitude = convolve(abs(x), abs(weight), abs(bias), windows, groups)
    assert_within(
        out, expected, kernel_sum_bound(cell, weight[0].size + 1, magnitude, expected), what="out", because=BECAUSE
    )

    grad = script.tensor("grad", out.shape)
    seen = script.run("gradients", "torch.autograd.grad(out, [x, weight, bias], grad)")
    expected = convolve_backward(grad, x, weight, windows, groups)
    magnitudes = convolve_backward(abs(grad), abs(x), abs(weight), windows, groups)
    of_a_weight = grad[:, 0].size
    terms = (weight[:, 0].size // groups, of_a_weight, of_a_weight)
    added = (int(np.prod(kernel)), batch, batch)
    names = ("x", "weight", "bias")
    for name, one, wanted, size, count, part in zip(names, seen, expected, magnitudes, terms, added, strict=True):
        bound = kernel_sum_bound(cell, count, size, wanted, part)
        assert_within(one, wanted, bound, what=f"gradient of {name}", because=BECAUSE)
