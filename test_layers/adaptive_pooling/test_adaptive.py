"""Adaptive pooling beside the mean, and the largest element, of each bin."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.pooling import (
    adaptive_avg_pool,
    adaptive_avg_pool_backward,
    adaptive_max_pool,
    max_pool_backward,
)
from torchclaims.targets import RELEASE, to_numpy
from torchclaims.tolerance import assert_within, rounding_unit, roundings, sum_bound

AVERAGE = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
MAX = {1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d, 3: nn.AdaptiveMaxPool3d}

# (shape of the input, size of the output)
CASES = {
    "halves": ((2, 3, 6, 8), (3, 4)),
    "bins that overlap": ((2, 2, 7, 9), (3, 4)),
    "one for all": ((2, 17, 3, 5), (1, 1)),
    "each its own": ((1, 2, 4, 5), (4, 5)),
    "more outputs than inputs": ((2, 2, 3, 2), (5, 7)),
    "one column": ((3, 2, 7, 1), (2, 1)),
    "one row of many": ((1, 1, 1, 33), (1, 16)),
    "wide": ((1, 2, 3, 31), (2, 17)),
    "many channels": ((1, 33, 4, 5), (3, 2)),
    "uneven axes": ((2, 3, 15, 4), (7, 3)),
    "no samples": ((0, 3, 5, 4), (2, 3)),
    "no batch": ((3, 7, 5), (3, 2)),
    "in 1-D": ((2, 3, 17), (5,)),
    "in 1-D, no batch": ((3, 9), (4,)),
    "in 1-D, more outputs": ((1, 2, 3), (8,)),
    "in 1-D, one for all": ((2, 3, 16), (1,)),
    "in 3-D": ((2, 2, 4, 5, 6), (2, 3, 4)),
    "in 3-D, one for all": ((1, 3, 2, 3, 4), (1, 1, 1)),
    "in 3-D, no batch": ((2, 3, 5, 4), (2, 2, 3)),
    "in 3-D, more outputs": ((1, 2, 2, 3, 1), (3, 5, 2)),
}
every_case = pytest.mark.parametrize(("shape", "counts"), CASES.values(), ids=CASES)


def run(cell, layer):
    """``layer`` as the cell runs it."""
    deep = isinstance(layer, (nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d))
    if deep and cell.device.is_cpu and cell.dtype == torch.bfloat16 and RELEASE.release < (2, 1):
        pytest.skip("does not apply: adaptive pooling of volumes in bfloat16 on the CPU came with PyTorch 2.1")
    return cell.run(layer)


def distinct(rng, shape):
    """Small numbers, all different within a sample, exact in every dtype."""
    plane = math.prod(shape[-3:]) if len(shape) > 2 else math.prod(shape)
    whole = [rng.permutation(plane)[: math.prod(shape[1:])] for _ in range(max(1, shape[0]))]
    values = np.concatenate([one - 0.5 * plane for one in whole])[: math.prod(shape)]
    return np.resize(values, shape) if math.prod(shape) else np.zeros(shape)


def largest_bin(sizes, counts):
    return math.prod(-(-size // count) + 1 for size, count in zip(sizes, counts, strict=True))


def check_average(cell, out, x, counts, what):
    expected, magnitude = adaptive_avg_pool(x, counts), adaptive_avg_pool(abs(x), counts)
    terms = largest_bin(x.shape[x.ndim - len(counts) :], counts) + 1
    # A sum over several axes may be rounded after each, then the quotient; volumes are added up in their own dtype.
    steps = terms if len(counts) == 3 else 3
    bound = sum_bound(cell, terms, magnitude, expected) + steps * rounding_unit(cell.dtype) * magnitude
    assert_within(out, expected, bound, what=what, because="a sum, rounded, and a division, rounded")


@claim("adaptive-avg-values")
@every_case
def test_means(cell, rng, shape, counts):
    x = cell.tensor(rng.normal(size=shape) + 0.5)
    check_average(cell, run(cell, AVERAGE[len(counts)](counts))(x), to_numpy(x), counts, "means")


@claim("adaptive-avg-gradients")
@every_case
def test_gradients_of_means(cell, rng, shape, counts):
    x = cell.tensor(rng.normal(size=shape), requires_grad=True)
    sizes = shape[len(shape) - len(counts) :]
    grad = cell.tensor(rng.normal(size=(*shape[: len(shape) - len(counts)], *counts)))
    run(cell, AVERAGE[len(counts)](counts))(x).backward(grad)
    expected = adaptive_avg_pool_backward(to_numpy(grad), sizes)
    magnitude = adaptive_avg_pool_backward(abs(to_numpy(grad)), sizes)
    shares = math.prod(-(-count // size) + 1 for size, count in zip(sizes, counts, strict=True))
    # Each quotient is rounded, and kernels may add them one by one in the cell's dtype.
    bound = sum_bound(cell, shares, magnitude, expected) + (1 + shares) * rounding_unit(cell.dtype) * magnitude
    bound = bound + roundings(cell, 1 + shares, np.zeros(()))
    assert_within(x.grad, expected, bound, what="gradient", because="quotients, added one by one")


@claim("adaptive-max-values")
@every_case
def test_maxima(cell, rng, shape, counts):
    x = cell.tensor(distinct(rng, shape))
    expected = adaptive_max_pool(to_numpy(x), counts)
    values, indices = run(cell, MAX[len(counts)](counts, return_indices=True))(x)
    assert indices.dtype == torch.int64
    assert_within(values, expected.values, 0, what="maxima", because="a maximum is not rounded")
    assert to_numpy(indices).tolist() == expected.places.tolist()
    alone = run(cell, MAX[len(counts)](counts))(x)
    assert_within(alone, expected.values, 0, what="maxima without indices", because="a maximum is not rounded")


@claim("adaptive-max-values")
@pytest.mark.parametrize("dims", MAX)
@pytest.mark.parametrize("special", [np.nan, -np.inf], ids=["nan", "minus infinity"])
def test_special_maxima(cell, rng, dims, special):
    values = rng.normal(size=(1, 3, *(5, 4, 6)[:dims])) - 1
    values[0, 0].flat[0] = values[0, 1].flat[-1] = special
    values[0, 2] = -np.inf
    x, counts = cell.tensor(values), (2, 3, 2)[:dims]
    expected = adaptive_max_pool(to_numpy(x), counts)
    out, indices = run(cell, MAX[dims](counts, return_indices=True))(x)
    assert_within(out, expected.values, 0, what="maxima", because="a maximum is not rounded")
    picked = x.flatten(2).gather(2, indices.flatten(2))
    assert_within(picked.view(out.shape), expected.values, 0, what="what the indices name", because="it is the maximum")


@claim("adaptive-max-gradients")
@every_case
def test_gradients_of_maxima(cell, rng, shape, counts):
    x = cell.tensor(distinct(rng, shape), requires_grad=True)
    places = adaptive_max_pool(to_numpy(x), counts).places
    grad = cell.tensor(rng.normal(size=places.shape))
    run(cell, MAX[len(counts)](counts))(x).backward(grad)
    sizes = shape[len(shape) - len(counts) :]
    expected, magnitude, shared = (
        max_pool_backward(weights, places, sizes)
        for weights in (to_numpy(grad), abs(to_numpy(grad)), np.ones(places.shape))
    )
    one_by_one = shared * rounding_unit(cell.dtype) * magnitude
    most = int(shared.max()) if shared.size else 1
    bound = np.where(shared > 1, sum_bound(cell, most, magnitude, expected) + one_by_one, 0)
    assert_within(x.grad, expected, bound, what="gradient", because="a sum over bins with one maximum")


@claim("adaptive-max-gradients")
@pytest.mark.parametrize("dims", MAX)
def test_gradient_goes_where_the_index_says(cell, dims):
    x = cell.tensor(np.ones((2, 2, *(4, 6, 4)[:dims])), requires_grad=True)
    values, indices = run(cell, MAX[dims](2, return_indices=True))(x)
    values.sum().backward()
    expected = max_pool_backward(np.ones(tuple(indices.shape)), to_numpy(indices), tuple(x.shape[2:]))
    assert_within(x.grad, expected, 0, what="gradient of ties", because="bins do not overlap")


SIZES = {
    "a number": (3, (3, 3)),
    "each axis": ((2, 5), (2, 5)),
    "none in the first": ((None, 4), (6, 4)),
    "none in the last": ((4, None), (4, 7)),
    "none at all": ((None, None), (6, 7)),
    "a list": ([2, 3], (2, 3)),
}


@claim("adaptive-output-shape")
@pytest.mark.parametrize("layers", [AVERAGE, MAX], ids=["average", "max"])
@pytest.mark.parametrize(("asked", "got"), SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("batch", [(2,), (), (0,)], ids=["batch", "no batch", "no samples"])
def test_output_shape(cell, rng, layers, asked, got, batch):
    x = cell.tensor(rng.normal(size=(*batch, 3, 6, 7)))
    out = cell.run(layers[2](asked))(x)
    assert tuple(out.shape) == (*batch, 3, *got)
    deep = asked if isinstance(asked, int) else [None, *asked]
    got = (got[0], *got) if isinstance(asked, int) else (5, *got)
    out = cell.run(layers[3](deep))(cell.tensor(rng.normal(size=(*batch, 3, 5, 6, 7))))
    assert tuple(out.shape) == (*batch, 3, *got)
    assert tuple(cell.run(layers[1](4))(cell.tensor(rng.normal(size=(*batch, 3, 6)))).shape) == (*batch, 3, 4)


VIEWS = {
    "transposed": lambda x: x.transpose(2, 3),
    "channels moved": lambda x: x.permute(0, 3, 1, 2),
    "every second": lambda x: x[::2, :, 1::2, ::3],
    "offset": lambda x: x.flatten()[5 : 5 + 2 * 3 * 4 * 5].view(2, 3, 4, 5),
    "expanded": lambda x: x[:, :1, :, :1].expand(4, 3, 6, 5),
    "one channel": lambda x: x[:, 1:2],
}


@claim("adaptive-layouts")
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("counts", [(3, 2), (1, 1), (5, 4)], ids=str)
def test_views(cell, rng, view, counts):
    leaf = cell.tensor(rng.normal(size=(4, 3, 6, 7)), requires_grad=True)
    x = view(leaf)
    values = to_numpy(x)
    out = run(cell, AVERAGE[2](counts))(x)
    check_average(cell, out, values, counts, "means")
    (of_x,) = torch.autograd.grad(out.sum(), x)
    expected = adaptive_avg_pool_backward(np.ones(tuple(out.shape)), values.shape[2:])
    bound = roundings(cell, 12, expected)
    assert_within(of_x, expected, bound, what="gradient of the means", because="quotients, added one by one")
    maxima, indices = run(cell, MAX[2](counts, return_indices=True))(x)
    wanted = adaptive_max_pool(values, counts)
    assert_within(maxima, wanted.values, 0, what="maxima", because="a maximum is not rounded")
    assert to_numpy(indices).tolist() == wanted.places.tolist()
    (of_x,) = torch.autograd.grad(maxima.sum(), x)
    expected = max_pool_backward(np.ones(wanted.places.shape), wanted.places, values.shape[2:])
    assert_within(of_x, expected, 0, what="gradient of the maxima", because="small whole numbers")


@claim("adaptive-output-shape")
def test_printed():
    assert repr(nn.AdaptiveAvgPool2d((2, None))) == "AdaptiveAvgPool2d(output_size=(2, None))"
    assert repr(nn.AdaptiveMaxPool1d(3)) == "AdaptiveMaxPool1d(output_size=3)"
    assert nn.AdaptiveMaxPool3d(2).return_indices is False
