"""Counter-examples to the sum of products that defines a transposed convolution."""

import numpy as np

from test_layers.transposed.test_values import BECAUSE
from torchclaims import claim
from torchclaims.reference.transposed import Placement, transposed_convolve, transposed_convolve_backward
from torchclaims.search import DENSE, LAYOUTS, search
from torchclaims.tolerance import assert_within, kernel_sum_bound


@claim("convt-formula", "convt-gradients")
@search
def test_transposed(cell, script):
    (dims,) = script.integers(1, 3)
    groups, inward, outward = script.integers(1, 3, 3)
    kernel, stride, dilation = (script.integers(1, 3, dims) for _ in range(3))
    more = tuple(script.integers(0, max(one) - 1)[0] for one in zip(stride, dilation, strict=True))
    sizes = script.sizes(dims, 1, 4, wide=dims < 3)
    # What is left of the output must have an element.
    most = [(n - 1) * s + d * (k - 1) + e for n, s, d, k, e in zip(sizes, stride, dilation, kernel, more, strict=True)]
    padding = tuple(script.integers(0, min(3, room // 2))[0] for room in most)
    (batch,) = script.integers(1, 3)
    # convt-strides-of-one, convt-strides-of-one-gradients: weights that count as channels last, and inputs one wide.
    layouts = DENSE if 1 in (*kernel, *sizes, inward, outward, batch) else tuple(LAYOUTS)
    x = script.tensor("x", (batch, groups * inward, *sizes), grad=True, layouts=layouts)
    weight = script.tensor("weight", (groups * inward, outward, *kernel), grad=True, layouts=layouts)
    bias = script.tensor("bias", (groups * outward,), grad=True)
    options = f"stride={stride}, padding={padding}, output_padding={more}, groups={groups}, dilation={dilation}"
    out = script.run("out", f"torch.nn.functional.conv_transpose{dims}d(x, weight, bias, {options})")
    at = Placement.of(kernel, stride=stride, padding=padding, output_padding=more, dilation=dilation)
    expected = transposed_convolve(x, weight, bias, at, groups)
    magnitude = transposed_convolve(abs(x), abs(weight), abs(bias), at, groups)
    count = int(np.prod(kernel))
    bound = kernel_sum_bound(cell, inward * count + 1, magnitude, expected, count + 1)
    assert_within(out, expected, bound, what="out", because=BECAUSE)

    grad = script.tensor("grad", out.shape, layouts=layouts)
    seen = script.run("gradients", "torch.autograd.grad(out, [x, weight, bias], grad)")
    wanted = transposed_convolve_backward(grad, x, weight, at, groups)
    magnitudes = transposed_convolve_backward(abs(grad), abs(x), abs(weight), at, groups)
    terms = (weight[0].size, batch * int(np.prod(sizes)), grad[:, 0].size)
    parts, names = (count, batch, batch), ("x", "weight", "bias")
    for name, one, value, size, number, part in zip(names, seen, wanted, magnitudes, terms, parts, strict=True):
        bound = kernel_sum_bound(cell, number, size, value, part)
        assert_within(one, value, bound, what=f"gradient of {name}", because=BECAUSE)
