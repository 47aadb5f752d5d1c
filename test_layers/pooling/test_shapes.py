"""Numbers of windows, defaults, missing and empty batches, and what pooling refuses."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.pooling import avg_pool, max_pool
from torchclaims.reference.windows import Windows
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, sum_bound

MAX = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
BOTH = pytest.mark.parametrize("layers", [MAX, AVERAGE], ids=["max", "average"])


def length(size, kernel, stride, padding, dilation, ceil_mode):
    """The documented number of windows."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


@claim("pool-output-shape")
@BOTH
@pytest.mark.parametrize("dims", MAX)
def test_output_shape(cell, layers, dims):
    along_an_axis = itertools.product(
        (5, 8), (1, 2, 3), (1, 2, 3), (0, 1), (1, 2) if layers is MAX else (1,), (False, True)
    )
    seen, expected = {}, {}
    axes = itertools.cycle(range(dims))
    for axis, (size, kernel, stride, padding, dilation, ceil_mode) in zip(axes, along_an_axis, strict=False):
        if padding > kernel // 2:
            continue
        arguments = {"kernel_size": [1] * dims, "stride": [1] * dims, "padding": [0] * dims}
        arguments |= {"dilation": [1] * dims} if layers is MAX else {}
        for name, value in (
            ("kernel_size", kernel),
            ("stride", stride),
            ("padding", padding),
            ("dilation", dilation),
        ):
            if name in arguments:
                arguments[name][axis] = value
        sizes, lengths = [5] * dims, [5] * dims
        sizes[axis], lengths[axis] = size, length(size, kernel, stride, padding, dilation, ceil_mode)
        layer = layers[dims](**{name: tuple(value) for name, value in arguments.items()}, ceil_mode=ceil_mode)
        key = (axis, size, kernel, stride, padding, dilation, ceil_mode)
        seen[key] = tuple(layer(torch.empty(1, 2, *sizes, device=cell.device.name)).shape)
        expected[key] = (1, 2, *lengths)
    assert seen == expected


def check(cell, layers, layer, x, windows, what, *counting):
    """Compares ``layer(x)`` with the reference; maxima are exact, means are sums."""
    values, terms = to_numpy(x), int(np.prod(windows.kernel))
    if layers is MAX:
        expected, bound = max_pool(values, windows).values, 0
    else:
        expected = avg_pool(values, windows, *counting)
        bound = sum_bound(cell, terms + 1, avg_pool(abs(values), windows, *counting), expected)
    assert_within(cell.run(layer)(x), expected, bound, what=what, because="a maximum, or a sum over a number")


@claim("pool-stride-default")
@BOTH
@pytest.mark.parametrize("kernel", [(3,), (2, 3), (2, 1, 3)], ids=["1-D", "2-D", "3-D"])
def test_default_stride(cell, rng, layers, kernel):
    layer = layers[len(kernel)](kernel)
    assert tuple(layer.stride if isinstance(layer.stride, tuple) else [layer.stride]) == kernel
    x = cell.tensor(rng.normal(size=(2, 2, *(7, 8, 6)[: len(kernel)])))
    check(cell, layers, layer, x, Windows.of(kernel, stride=kernel), "output with the default stride")


@claim("pool-unbatched")
@BOTH
@pytest.mark.parametrize("dims", MAX)
@pytest.mark.parametrize("batch", [(), (0,)], ids=["no batch", "no samples"])
def test_unbatched_and_empty(cell, rng, layers, dims, batch):
    x = cell.tensor(rng.normal(size=(*batch, 3, *(5, 4, 6)[:dims])))
    layer = layers[dims](2, stride=1)
    check(cell, layers, layer, x, Windows.of((2,) * dims), "output")
    options, counting = {"stride": 2, "padding": 1, "ceil_mode": True}, {"count_include_pad": False}
    layer = layers[dims](3, **options, **(counting if layers is AVERAGE else {}))
    check(cell, layers, layer, x, Windows.of((3,) * dims, **options), "output with padding", False)


REFUSED = {
    "padding": ({"kernel_size": 3, "padding": 2}, (1, 1, 5, 5), "pad should be"),
    "padding in one axis": ({"kernel_size": (3, 2), "padding": (1, 2)}, (1, 1, 5, 5), "pad should be"),
    "small input": ({"kernel_size": 3}, (1, 1, 2, 5), "[Oo]utput size is too small"),
}


@claim("pool-refused")
@BOTH
@pytest.mark.parametrize(("arguments", "shape", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(cell, layers, arguments, shape, message):
    x = torch.ones(shape, device=cell.device.name, dtype=cell.dtype)
    with pytest.raises(RuntimeError, match=message):
        layers[2](**arguments)(x)
    assert to_numpy(x).min() == 1
