"""Power-average pooling beside the root of a sum of powers."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.pooling import lp_pool, lp_pool_backward, max_pool
from torchclaims.reference.windows import Windows
from torchclaims.targets import to_numpy
from torchclaims.tolerance import accumulation_unit, assert_within, gamma, roundings

LAYERS = {1: nn.LPPool1d, 2: nn.LPPool2d, 3: getattr(nn, "LPPool3d", None)}

# (shape of the input, p, kernel, stride)
CASES = {
    "1-D": ((2, 3, 17), 2, (3,), (2,)),
    "1-D, a sum": ((2, 3, 8), 1, (2,), (2,)),
    "1-D, overlapping": ((1, 2, 9), 3, (4,), (1,)),
    "1-D, a fraction": ((3, 9), 1.5, (3,), (3,)),
    "2-D": ((2, 3, 6, 8), 2, (2, 2), (2, 2)),
    "2-D, uneven": ((1, 2, 7, 9), 2, (3, 2), (2, 3)),
    "2-D, a sum": ((2, 2, 5, 6), 1, (2, 3), (1, 2)),
    "2-D, a fraction": ((3, 5, 4), 1.25, (3, 2), (2, 1)),
    "2-D, one column": ((3, 2, 7, 1), 4, (3, 1), (2, 1)),
    "2-D, no samples": ((0, 2, 5, 6), 2, (2, 3), (1, 2)),
    "2-D, many channels": ((1, 33, 4, 3), 2, (2, 2), (1, 1)),
    "3-D": ((2, 2, 4, 5, 6), 2, (2, 3, 1), (2, 1, 3)),
    "3-D, a sum": ((1, 3, 3, 4, 5), 1, (2, 2, 3), (1, 2, 2)),
}
every_case = pytest.mark.parametrize(("shape", "power", "kernel", "stride"), CASES.values(), ids=CASES)


def layer_of(cell, power, kernel, stride, **more):
    dims = len(kernel)
    if LAYERS[dims] is None:
        pytest.skip("does not apply: this release has no LPPool3d")
    if dims == 3 and cell.device.is_cpu and cell.dtype in (torch.bfloat16, torch.float16):
        pytest.skip("does not apply: AvgPool3d is not implemented in half precision on the CPU")
    # One dimension takes a number, not a tuple.
    one = dims == 1
    return LAYERS[dims](power, kernel[0] if one else kernel, stride[0] if one and stride else stride, **more)


def numbers(rng, shape, power):
    """Positive numbers, or of both signs where powers of those are defined."""
    signs = rng.choice([-1.0, 1.0], shape) if power in (1, 2, 4) else 1.0
    return signs * rng.uniform(0.5, 2.0, shape)


def relative(cell, terms):
    """Powers, their sum, its division and multiplication by the number of terms, and a root; each may be rounded."""
    return gamma(2 * terms + 8, accumulation_unit(cell))


def check(cell, out, x, power, windows, what):
    expected, magnitude = lp_pool(x, power, windows), lp_pool(abs(x), power, windows)
    bound = relative(cell, int(np.prod(windows.kernel))) * magnitude + roundings(cell, 6, magnitude)
    assert_within(out, expected, bound, what=what, because="powers, a sum, a quotient, a product and a root, rounded")


@claim("lppool-values")
@every_case
def test_values(cell, rng, shape, power, kernel, stride):
    x = cell.tensor(numbers(rng, shape, power))
    out = cell.run(layer_of(cell, power, kernel, stride))(x)
    check(cell, out, to_numpy(x), power, Windows.of(kernel, stride=stride), "roots")


@claim("lppool-values")
def test_by_hand(cell):
    x = cell.tensor([[[3.0, 4.0, -5.0, 12.0, 7.0]]])
    out = cell.run(nn.LPPool1d(2, 2))(x)
    expected = np.array([[[5.0, 13.0]]])
    assert_within(
        out, expected, roundings(cell, 6, expected), what="LPPool1d(2, 2)", because="five operations, rounded"
    )
    total = cell.run(nn.LPPool2d(1, 2))(cell.tensor([[[[1.0, -2.0], [-4.0, 1.0]]]]))
    assert_within(total, np.array([[[[-4.0]]]]), 0, what="LPPool2d(1, 2)", because="small whole numbers are exact")


@claim("lppool-gradients")
@every_case
def test_gradients(cell, rng, shape, power, kernel, stride):
    x = cell.tensor(numbers(rng, shape, power), requires_grad=True)
    windows = Windows.of(kernel, stride=stride)
    if power == 1:
        # A sum near 0 has no digits left; all positive, none is.
        x = x.detach().abs().requires_grad_()
    out = cell.run(layer_of(cell, power, kernel, stride))(x)
    grad = cell.tensor(rng.normal(size=tuple(out.shape)))
    out.backward(grad)
    values, weights = to_numpy(x), to_numpy(grad)
    expected = lp_pool_backward(weights, values, power, windows)
    magnitude = lp_pool_backward(abs(weights), abs(values), power, windows)
    terms = int(np.prod(kernel))
    # Ten operations, and the windows that share an element are added one by one.
    bound = 2 * relative(cell, terms) * magnitude + roundings(cell, 12 + terms, magnitude)
    assert_within(x.grad, expected, bound, what="gradient", because="each operation's gradient is rounded")


@claim("lppool-gradients")
@pytest.mark.parametrize("dims", LAYERS)
@pytest.mark.parametrize("power", [1, 1.5, 2, 3])
def test_gradient_of_zeros(cell, dims, power):
    layer = layer_of(cell, power, (2,) * dims, (2,) * dims)
    x = cell.tensor(np.zeros((1, 2, *[4] * dims)), requires_grad=True)
    cell.run(layer)(x).sum().backward()
    assert_within(x.grad, np.zeros(x.shape), 0, what="gradient at 0", because="the sum of powers is 0")


@claim("lppool-gradients")
def test_gradient_of_what_cancels(cell):
    x = cell.tensor([[[1.0, -1.0, 2.0, 3.0]]], requires_grad=True)
    cell.run(nn.LPPool1d(1, 2))(x).sum().backward()
    assert_within(x.grad, np.array([[[0.0, 0.0, 1.0, 1.0]]]), 0, what="gradient", because="the sum is 0, and 5")


@claim("lppool-infinity")
@pytest.mark.parametrize("dims", LAYERS)
def test_infinity(cell, rng, dims):
    kernel, stride = (2, 3, 1)[:dims], (2, 1, 2)[:dims]
    layer = layer_of(cell, float("inf"), kernel, stride)
    x = cell.tensor(rng.normal(size=(2, 3, *(5, 6, 4)[:dims])))
    expected = max_pool(abs(to_numpy(x)), Windows.of(kernel, stride=stride)).values
    assert_within(cell.run(layer)(x), expected, 0, what="maxima", because="a maximum is not rounded")


CEIL = {
    "1-D": ((1, 2, 3), 1, (2,), (2,)),
    "1-D, p = 2": ((2, 2, 8), 2, (3,), (3,)),
    "2-D": ((1, 2, 5, 3), 2, (2, 2), (2, 2)),
    "2-D, uneven": ((1, 2, 6, 8), 1, (4, 3), (3, 4)),
}


@claim("lppool-ceil")
@pytest.mark.parametrize(("shape", "power", "kernel", "stride"), CEIL.values(), ids=CEIL)
def test_windows_beyond_the_input(cell, shape, power, kernel, stride):
    x = cell.tensor(np.ones(shape))
    out = cell.run(layer_of(cell, power, kernel, stride, ceil_mode=True))(x)
    windows = Windows.of(kernel, stride=stride, ceil_mode=True)
    check(cell, out, to_numpy(x), power, windows, "roots with ceil_mode")


@claim("lppool-output-shape")
@pytest.mark.parametrize("dims", LAYERS)
def test_output_shape(cell, dims):
    seen, expected = {}, {}
    for size, kernel, stride, ceil_mode in itertools.product((5, 8), (1, 2, 3), (None, 1, 2, 3), (False, True)):
        layer = layer_of(cell, 2, (kernel,) * dims, None if stride is None else (stride,) * dims, ceil_mode=ceil_mode)
        step = stride or kernel
        count = -(-(size - kernel) // step) + 1 if ceil_mode else (size - kernel) // step + 1
        count -= (count - 1) * step >= size
        key = (size, kernel, stride, ceil_mode)
        seen[key] = tuple(layer(torch.ones(1, 2, *[size] * dims, device=cell.device.name)).shape)
        expected[key] = (1, 2, *[count] * dims)
    assert seen == expected


@claim("lppool-output-shape")
def test_printed():
    assert repr(nn.LPPool1d(2, 3)) == "LPPool1d(norm_type=2, kernel_size=3, stride=None, ceil_mode=False)"
    text = "LPPool2d(norm_type=1.5, kernel_size=(3, 2), stride=(1, 2), ceil_mode=True)"
    assert repr(nn.LPPool2d(1.5, (3, 2), (1, 2), True)) == text
