"""Counter-examples to adaptive pooling."""

import math

import numpy as np

from test_layers.adaptive_pooling.test_adaptive import check_average, largest_bin
from torchclaims import claim
from torchclaims.reference.pooling import (
    adaptive_avg_pool_backward,
    adaptive_bins,
    adaptive_max_pool,
    max_pool_backward,
)
from torchclaims.search import search
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, rounding_unit, roundings, sum_bound


def geometry(script):
    """The leading sizes, the input's and the output's."""
    (dims,) = script.integers(1, 3)
    lead = (*script.integers(1, 3, script.pick(0, 1)), script.size(1, 3))
    return lead, script.sizes(dims, 1, 6, wide=dims < 3), script.sizes(dims, 1, 6, wide=dims < 3)


@claim("adaptive-avg-values", "adaptive-avg-gradients")
@search
def test_average(cell, script):
    lead, sizes, counts = geometry(script)
    x = script.tensor("x", (*lead, *sizes), grad=True)
    out = script.run("out", f"torch.nn.functional.adaptive_avg_pool{len(sizes)}d(x, {counts})")
    check_average(cell, out, x, counts, "means")
    grad = script.tensor("grad", out.shape)
    (gradient,) = script.run("gradient", "torch.autograd.grad(out, [x], grad)")
    wanted, magnitude = (adaptive_avg_pool_backward(one, sizes) for one in (grad, abs(grad)))
    shares = largest_bin(counts, sizes)
    bound = sum_bound(cell, shares, magnitude, wanted) + (1 + shares) * rounding_unit(cell.dtype) * magnitude
    bound = bound + roundings(cell, 1 + shares, np.zeros(()))
    assert_within(gradient, wanted, bound, what="gradient", because="quotients, added one by one")


@claim("adaptive-max-values", "adaptive-max-gradients")
@search
def test_max(cell, script):
    lead, sizes, counts = geometry(script)
    dims = len(sizes)
    x = script.tensor("x", (*lead, *sizes), special=script.pick(False, True), grad=True)
    call = f"torch.nn.functional.adaptive_max_pool{dims}d(x, {counts}, return_indices=True)"
    seen, indices = script.run("pooled", call)
    expected = adaptive_max_pool(x, counts)
    assert_within(seen, expected.values, 0, what="maxima", because="a maximum is not rounded")
    places = to_numpy(indices)
    named = np.take_along_axis(x.reshape(*lead, -1), places.reshape(*lead, -1), -1).reshape(places.shape)
    same = (named == expected.values) | (np.isnan(named) & np.isnan(expected.values))
    assert same.all(), f"expected indices such as {expected.places.tolist()}, seen {places.tolist()}"
    at = np.unravel_index(places, sizes)
    for dim in range(dims):
        bins = np.array(adaptive_bins(sizes[dim], counts[dim]))
        first, last = (bins[:, end].reshape(-1, *[1] * (dims - 1 - dim)) for end in (0, 1))
        assert ((first <= at[dim]) & (at[dim] < last)).all(), f"an index outside of its bin: {places.tolist()}"

    grad = script.tensor("grad", places.shape)
    (gradient,) = script.run("gradient", "torch.autograd.grad(pooled[0], [x], grad)")
    wanted, magnitude, shared = (
        max_pool_backward(weights, places, sizes) for weights in (grad, abs(grad), np.ones(places.shape))
    )
    one_by_one = shared * rounding_unit(cell.dtype) * magnitude
    most = max(1, math.ceil(shared.max(initial=1)))
    bound = np.where(shared > 1, sum_bound(cell, most, magnitude, wanted) + one_by_one, 0)
    assert_within(gradient, wanted, bound, what="gradient", because="a sum over bins with one maximum")
