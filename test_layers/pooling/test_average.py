"""Average pooling beside the sum of each window over the elements that count."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.pooling import avg_pool, avg_pool_backward
from torchclaims.reference.windows import Windows
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, rounding_unit, sum_bound

LAYERS = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}

# (shape of the input, arguments of the layer)
CASES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 6, 8), {"kernel_size": (2, 2), "stride": (2, 2)}),
    "unequal kernel": ((2, 2, 7, 9), {"kernel_size": (3, 2), "stride": (2, 3)}),
    "overlapping": ((2, 2, 7, 8), {"kernel_size": (3, 3), "stride": (1, 2)}),
    "padding counts": ((2, 2, 5, 6), {"kernel_size": (2, 4), "stride": (2, 2), "padding": (1, 2)}),
    "padding does not count": (
        (2, 2, 5, 6),
        {"kernel_size": (2, 4), "stride": (2, 2), "padding": (1, 2), "count_include_pad": False},
    ),
    "ceil": ((2, 2, 7, 8), {"kernel_size": (2, 3), "stride": (2, 3), "ceil_mode": True}),
    "ceil, padding counts": (
        (1, 2, 6, 8),
        {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 1), "ceil_mode": True},
    ),
    "ceil, padding does not count": (
        (1, 2, 6, 8),
        {
            "kernel_size": (3, 2),
            "stride": (2, 3),
            "padding": (1, 1),
            "ceil_mode": True,
            "count_include_pad": False,
        },
    ),
    "divisor": ((1, 2, 5, 6), {"kernel_size": (2, 3), "stride": (2, 2), "padding": (0, 1), "divisor_override": 5}),
    "ceil, divisor": (
        (1, 2, 6, 8),
        {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 1), "ceil_mode": True, "divisor_override": 5},
    ),
    "one column": ((3, 2, 7, 1), {"kernel_size": (3, 1), "stride": (2, 1)}),
    "many channels": ((1, 33, 4, 5), {"kernel_size": (3, 2), "stride": (1, 1), "padding": (1, 1)}),
    "one window": ((2, 17, 3, 5), {"kernel_size": (3, 5), "stride": (1, 1)}),
    "in 1-D": ((2, 3, 17), {"kernel_size": (3,), "stride": (2,), "padding": (1,)}),
    "in 1-D, padding does not count": (
        (2, 2, 16),
        {"kernel_size": (4,), "stride": (3,), "padding": (2,), "ceil_mode": True, "count_include_pad": False},
    ),
    "in 3-D": ((2, 2, 4, 5, 6), {"kernel_size": (2, 3, 1), "stride": (2, 1, 3), "padding": (1, 1, 0)}),
    "in 3-D, ceil": (
        (1, 2, 5, 6, 7),
        {
            "kernel_size": (2, 3, 2),
            "stride": (2, 2, 2),
            "padding": (1, 0, 1),
            "ceil_mode": True,
            "count_include_pad": False,
        },
    ),
    "in 3-D, divisor": (
        (1, 2, 3, 4, 5),
        {"kernel_size": (2, 2, 3), "stride": (1, 2, 2), "divisor_override": 7},
    ),
}


def geometry(arguments):
    """The windows, and how their elements count."""
    of_windows = ("stride", "padding", "ceil_mode")
    windows = Windows.of(arguments["kernel_size"], **{k: arguments[k] for k in of_windows if k in arguments})
    return windows, arguments.get("count_include_pad", True), arguments.get("divisor_override")


def pool(cell, arguments):
    dims = len(arguments["kernel_size"])
    if dims == 3 and cell.device.is_cpu and cell.dtype in (torch.bfloat16, torch.float16):
        pytest.skip("does not apply: AvgPool3d is not implemented in half precision on the CPU")
    return cell.run(LAYERS[dims](**arguments))


def bound_of(cell, terms, magnitude, result, roundings_on_the_way):
    """A sum and a division; kernels for half types may round some intermediate results to the type."""
    on_the_way = roundings_on_the_way * rounding_unit(cell.dtype) * magnitude
    return sum_bound(cell, terms + 1, magnitude, result) + on_the_way


@claim("avgpool-values")
@pytest.mark.parametrize(("shape", "arguments"), CASES.values(), ids=CASES)
def test_forward(cell, rng, shape, arguments):
    x = cell.tensor(rng.normal(size=shape) + 0.5)
    windows, *counting = geometry(arguments)
    expected = avg_pool(to_numpy(x), windows, *counting)
    magnitude = avg_pool(abs(to_numpy(x)), windows, *counting)
    bound = bound_of(cell, int(np.prod(windows.kernel)), magnitude, expected, 1)
    out = pool(cell, arguments)(x)
    assert_within(out, expected, bound, what="means", because="a sum, rounded, and a division, rounded")


@claim("avgpool-gradients")
@pytest.mark.parametrize("dims", LAYERS)
def test_gradients(cell, rng, dims):
    for name, (shape, arguments) in CASES.items():
        if len(shape) != dims + 2:
            continue
        windows, *counting = geometry(arguments)
        sizes = shape[2:]
        grad = cell.tensor(rng.normal(size=(*shape[:2], *windows.counts(sizes))))
        x = cell.tensor(rng.normal(size=shape), requires_grad=True)
        pool(cell, arguments)(x).backward(grad)
        expected = avg_pool_backward(to_numpy(grad), sizes, windows, *counting)
        magnitude = avg_pool_backward(abs(to_numpy(grad)), sizes, windows, *counting)
        shares = int(np.prod(windows.kernel))
        bound = bound_of(cell, shares, magnitude, expected, 1 + shares)
        assert_within(x.grad, expected, bound, what=f"gradient, {name}", because="quotients, added one by one")
