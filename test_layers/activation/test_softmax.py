"""Softmax along each dimension."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.covering import board
from torchclaims.reference import activation
from torchclaims.targets import from_numpy, to_numpy
from torchclaims.tolerance import assert_same, assert_within, gamma, rounding_unit, roundings

# (shape, dim)
CASES = [
    ((5,), 0),
    ((1,), 0),
    ((3, 1), 1),
    ((3, 7), 0),
    ((3, 7), 1),
    ((2, 3, 4), 0),
    ((2, 3, 4), 1),
    ((2, 3, 4), -1),
    ((2, 3, 4, 5), 1),
    ((2, 3, 4, 5), -2),
    ((2, 8), 1),
    ((2, 9), 1),
    ((9, 2), 0),
    ((2, 16), 1),
    ((17, 3), 0),
    ((2, 31), 1),
    ((1, 33), 1),
    ((2, 100), 1),
    ((70, 3), 0),
    ((0, 4), 1),
]


def working_unit(cell):
    """Softmax works in at least single precision."""
    return min(rounding_unit(cell.dtype), rounding_unit(torch.float32))


def relative_error(cell, x, dim):
    """Of exp(x - max) / sum: x - max is rounded, the exponential is good to two units in the last place."""
    spread = (x.max(dim) - x.min(dim)).max() if x.size else 0
    return gamma(x.shape[dim] + 2 * (5 + int(spread)), working_unit(cell))


@claim("softmax-formula")
def test_forward(cell, rng):
    for shape, dim in CASES:
        x = cell.tensor(rng.normal(size=shape) * 2)
        expected = activation.softmax(to_numpy(x), dim)
        # Kernels may keep exponentials in the cell's dtype: numerator, sum and result are rounded.
        bound = relative_error(cell, to_numpy(x), dim) * expected + roundings(cell, 3, expected)
        what = f"softmax of {shape} along {dim}"
        assert_within(
            cell.run(nn.Softmax(dim))(x),
            expected,
            bound,
            what=what,
            because="exponentials, a sum, a division",
        )


@claim("softmax-gradient")
def test_gradient(cell, rng):
    for shape, dim in CASES:
        x, grad = (
            cell.tensor(rng.normal(size=shape) * 2, requires_grad=True),
            cell.tensor(rng.normal(size=shape)),
        )
        cell.run(nn.Softmax(dim))(x).backward(grad)
        weights, values = to_numpy(grad), to_numpy(x)
        expected, shares = activation.softmax_backward(weights, values, dim), activation.softmax(values, dim)
        magnitude = shares * (abs(weights) + (abs(weights) * shares).sum(dim, keepdims=True))
        # The output, rounded as above, enters twice: as a factor and within the sum.
        once = relative_error(cell, values, dim) + gamma(3, rounding_unit(cell.dtype))
        bound = (2 * once + gamma(shape[dim] + 4, working_unit(cell))) * magnitude + roundings(cell, 1, expected)
        # Small outputs lose digits to underflow, whatever their size, and are multiplied by gradients of size one.
        underflow = roundings(cell, 3, np.zeros(()))
        of_shares, of_all = ((abs(weights) * factor).sum(dim, keepdims=True) for factor in (shares, 1))
        bound = bound + underflow * (abs(weights) + of_shares + shares * of_all)
        what = f"gradient of {shape} along {dim}"
        assert_within(x.grad, expected, bound, what=what, because="s (g - sum of g s) from the rounded s")


@claim("softmax-distribution")
@board(3, offset={"around 0": 0.0, "large": 1e4, "very negative": -1e4}, dim=[0, 1, 2])
def test_sums_to_one(cell, rng, dim, offset):
    x = cell.tensor(rng.normal(size=(3, 5, 4)) * 4 + offset)
    out = to_numpy(cell.run(nn.Softmax(dim))(x))
    assert ((out >= 0) & (out <= 1)).all()
    # A common factor, the sum, and two roundings of each output; the parts are 1 together.
    bound = gamma(x.shape[dim] + 10, working_unit(cell)) + gamma(3, rounding_unit(cell.dtype))
    sums = out.sum(dim)
    assert_within(from_numpy(sums), np.ones(sums.shape), bound, what="sums", because="each output is rounded")


@claim("softmax-distribution")
def test_one_far_above_the_others(cell):
    x = cell.tensor([[0.0, 3e4, 0.0], [-3e4, -3e4, -np.inf]])
    assert_same(cell.run(nn.Softmax(1))(x), cell.tensor([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]), what="softmax(x)")


@claim("softmax-implicit-dim")
def test_implicit_dim(cell, rng):
    x = cell.tensor(rng.normal(size=(2, 3)))
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
        out = nn.Softmax()(x)
    assert_same(out, nn.Softmax(1)(x), what="softmax(x)")
