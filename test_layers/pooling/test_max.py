"""Max pooling beside the largest element of each window; nothing is rounded, so everything is exact."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.pooling import max_pool, max_pool_backward
from torchclaims.reference.windows import Windows
from torchclaims.targets import RELEASE, to_numpy
from torchclaims.tolerance import assert_within, rounding_unit, sum_bound

LAYERS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}

# (shape of the input, arguments of the layer)
CASES = {
    "plain": ((2, 3, 6, 8), {"kernel_size": (2, 2), "stride": (2, 2)}),
    "unequal kernel": ((2, 2, 7, 9), {"kernel_size": (3, 2), "stride": (2, 3)}),
    "overlapping": ((2, 2, 7, 8), {"kernel_size": (3, 3), "stride": (1, 2)}),
    "stride beyond the kernel": ((1, 2, 8, 9), {"kernel_size": (2, 1), "stride": (3, 4)}),
    "padding": ((2, 2, 5, 6), {"kernel_size": (2, 4), "stride": (2, 2), "padding": (1, 2)}),
    "padding in one axis": ((1, 2, 5, 6), {"kernel_size": (3, 3), "stride": (1, 1), "padding": (0, 1)}),
    "dilation": ((1, 2, 8, 9), {"kernel_size": (3, 2), "stride": (1, 1), "dilation": (2, 3)}),
    "ceil": ((2, 2, 7, 8), {"kernel_size": (2, 3), "stride": (2, 3), "ceil_mode": True}),
    "ceil, a window dropped": (
        (1, 2, 4, 7),
        {"kernel_size": (2, 2), "stride": (3, 2), "padding": (1, 1), "ceil_mode": True},
    ),
    "all at once": (
        (2, 3, 9, 15),
        {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 1), "dilation": (2, 1), "ceil_mode": True},
    ),
    "every second, wide": ((1, 2, 5, 17), {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1)}),
    "one column": ((3, 2, 7, 1), {"kernel_size": (3, 1), "stride": (2, 1)}),
    "one window": ((2, 5, 3, 4), {"kernel_size": (3, 4), "stride": (1, 1)}),
    "one pixel": ((2, 17, 1, 1), {"kernel_size": (1, 1), "stride": (1, 1)}),
    "many channels": ((1, 33, 4, 5), {"kernel_size": (3, 2), "stride": (1, 1), "padding": (1, 1)}),
    "one channel, wide": ((1, 1, 3, 31), {"kernel_size": (2, 2), "stride": (1, 2), "padding": (0, 1)}),
    "in 1-D": ((2, 3, 17), {"kernel_size": (3,), "stride": (2,), "padding": (1,)}),
    "in 1-D, dilated": ((2, 1, 16), {"kernel_size": (4,), "stride": (3,), "dilation": (3,), "padding": (2,)}),
    "in 1-D, ceil": ((2, 2, 8), {"kernel_size": (3,), "stride": (2,), "ceil_mode": True}),
    "in 3-D": ((2, 2, 4, 5, 6), {"kernel_size": (2, 3, 1), "stride": (2, 1, 3), "padding": (1, 1, 0)}),
    "in 3-D, ceil and dilation": (
        (1, 3, 5, 6, 7),
        {"kernel_size": (2, 2, 3), "stride": (2, 3, 2), "dilation": (1, 3, 1), "ceil_mode": True},
    ),
}


def cases_of(dims):
    return [(name, case) for name, case in CASES.items() if len(case[0]) == dims + 2]


def pool(cell, arguments, **more):
    dims = len(arguments["kernel_size"])
    if dims == 3 and cell.dtype == torch.bfloat16 and cell.device.is_cpu and RELEASE.release < (2, 1):
        pytest.skip("does not apply: MaxPool3d in bfloat16 on the CPU came with PyTorch 2.1")
    return cell.run(LAYERS[dims](**arguments, **more))


def windows_of(arguments):
    rest = {key: value for key, value in arguments.items() if key != "kernel_size"}
    return Windows.of(arguments["kernel_size"], **rest)


def distinct(rng, shape):
    """Small numbers of both signs, all different within a plane, exact in every dtype."""
    plane = int(np.prod(shape[2:]))
    values = np.stack([rng.permutation(plane) - 0.75 * plane for _ in range(shape[0] * shape[1])])
    return values.reshape(shape)


@claim("maxpool-values")
@pytest.mark.parametrize(("shape", "arguments"), CASES.values(), ids=CASES)
def test_forward(cell, rng, shape, arguments):
    x = cell.tensor(rng.normal(size=shape) - 1)
    expected = max_pool(to_numpy(x), windows_of(arguments)).values
    assert_within(pool(cell, arguments)(x), expected, 0, what="maxima", because="a maximum is not rounded")


@claim("maxpool-gradients")
@pytest.mark.parametrize("dims", LAYERS)
def test_gradients(cell, rng, dims):
    for name, (shape, arguments) in cases_of(dims):
        x = cell.tensor(distinct(rng, shape), requires_grad=True)
        _, places = max_pool(to_numpy(x), windows_of(arguments))
        grad = cell.tensor(rng.normal(size=places.shape))
        pool(cell, arguments)(x).backward(grad)
        expected = max_pool_backward(to_numpy(grad), places, shape[2:])
        magnitude = max_pool_backward(abs(to_numpy(grad)), places, shape[2:])
        # Kernels that add windows up one by one round each time to the dtype of the gradient.
        shared = max_pool_backward(np.ones(places.shape), places, shape[2:])
        one_by_one = shared * rounding_unit(cell.dtype) * magnitude
        bound = np.where(shared > 1, sum_bound(cell, int(shared.max()), magnitude, expected) + one_by_one, 0)
        assert_within(x.grad, expected, bound, what=f"gradient, {name}", because="a sum over windows with one maximum")


@claim("maxpool-indices")
@pytest.mark.parametrize("dims", LAYERS)
def test_indices(cell, rng, dims):
    for name, (shape, arguments) in cases_of(dims):
        x = cell.tensor(distinct(rng, shape))
        expected = max_pool(to_numpy(x), windows_of(arguments))
        values, indices = pool(cell, arguments, return_indices=True)(x)
        assert indices.dtype == torch.int64
        assert_within(values, expected.values, 0, what=f"maxima, {name}", because="a maximum is not rounded")
        assert to_numpy(indices).tolist() == expected.places.tolist(), f"indices, {name}"
        _, unbatched = pool(cell, arguments, return_indices=True)(x[-1])
        assert to_numpy(unbatched).tolist() == expected.places[-1].tolist(), f"indices without a batch, {name}"


@claim("maxpool-indices")
@pytest.mark.parametrize("dims", LAYERS)
def test_ties(cell, dims):
    # All elements are equal: which one a window names is open, but it must be one of its own.
    shape, arguments = (2, 2, *(5, 6, 4)[:dims]), {"kernel_size": (2,) * dims, "stride": (2,) * dims}
    x = cell.tensor(np.ones(shape), requires_grad=True)
    values, indices = pool(cell, arguments, return_indices=True)(x)
    places = to_numpy(indices)
    starts = max_pool(
        -np.arange(np.prod(shape[2:])).reshape(1, 1, *shape[2:]).astype(float), windows_of(arguments)
    ).places
    within = np.unravel_index(places - starts, shape[2:])
    assert all(((offset >= 0) & (offset < 2)).all() for offset in within), "an index outside of its window"
    values.sum().backward()
    expected = max_pool_backward(np.ones(places.shape), places, shape[2:])
    assert_within(x.grad, expected, 0, what="gradient", because="each window has one element of its own")


@claim("maxpool-nan")
@pytest.mark.parametrize("dims", LAYERS)
@pytest.mark.parametrize("special", [np.nan, -np.inf], ids=["nan", "minus infinity"])
def test_special(cell, rng, dims, special):
    arguments = {"kernel_size": (2,) * dims, "stride": (2,) * dims, "padding": (1,) * dims}
    values = rng.normal(size=(1, 3, *(4, 5, 3)[:dims])) - 1
    for channel, position in enumerate((0, 1, -1)):
        values[0, channel].flat[position] = special
    x = cell.tensor(values)
    expected = max_pool(to_numpy(x), windows_of(arguments)).values
    assert_within(pool(cell, arguments)(x), expected, 0, what="maxima", because="a maximum is not rounded")
    maxima, indices = pool(cell, arguments, return_indices=True)(x)
    assert_within(maxima, expected, 0, what="maxima beside indices", because="a maximum is not rounded")
    named = np.take_along_axis(values.reshape(1, 3, -1), to_numpy(indices).reshape(1, 3, -1), 2)
    assert (np.isnan(named) == np.isnan(expected.reshape(1, 3, -1))).all(), "an index of another element than the NaN"


@claim("maxpool-padding-alone")
@pytest.mark.parametrize("dims", [2, 3])
def test_window_of_padding_alone(cell, dims):
    first = dims - 1
    arguments = {
        "kernel_size": (*(1,) * first, 2),
        "stride": (2,) * dims,
        "padding": (*(0,) * first, 1),
        "dilation": (*(1,) * first, 3),
    }
    # The place that is named instead lies in the second row: a gradient there is wrong, but within the tensor.
    x = cell.tensor(np.ones((1, 1, *(2,) * dims)), requires_grad=True)
    maximum = pool(cell, arguments)(x)
    assert maximum.flatten().tolist() == [-np.inf]
    maximum.sum().backward()
    assert_within(x.grad, np.zeros(x.shape), 0, what="gradient", because="no element is in the window")
