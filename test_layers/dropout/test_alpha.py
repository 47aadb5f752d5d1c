"""Alpha dropout: two values for each element, and moments that follow from them exactly."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.chance import assert_rate
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, gamma, rounding_unit, roundings

F = nn.functional

# Minus scale times alpha of SELU (Klambauer et al. 2017, section 3, "New dropout technique").
SATURATION = -1.7580993408473766


def affine(p):
    """The factor and the shift that give an input of mean 0 and variance 1 both back."""
    factor = ((1 - p) * (1 + p * SATURATION**2)) ** -0.5
    return factor, -factor * p * SATURATION


def check(cell, out, x, dropped, p):
    """``out`` is the documented value where ``dropped``, and elsewhere."""
    factor, shift = affine(p)
    kept = factor * x + shift
    expected = np.where(dropped, factor * SATURATION + shift, kept)
    size = np.where(dropped, abs(factor * SATURATION), abs(factor * x)) + 2 * abs(shift) + factor * abs(SATURATION)
    # The saturation, factor and shift may each be rounded to the cell's dtype.
    bound = gamma(6, rounding_unit(cell.dtype)) * size + roundings(cell, 1, expected)
    assert_within(out, expected, bound, what="output", because="three constants, two products and two sums, rounded")


def test_the_formula_keeps_mean_and_variance():
    for p in (0.1, 0.5, 0.9):
        factor, shift = affine(p)
        mean = p * (factor * SATURATION + shift) + (1 - p) * shift
        second = p * (factor * SATURATION + shift) ** 2 + (1 - p) * (factor**2 + shift**2)
        assert math.isclose(mean, 0, abs_tol=1e-15)
        assert math.isclose(second, 1, rel_tol=1e-14)


def which_dropped(out, p):
    """The elements that are nearer to the value of what is dropped than a kept number of 3 or more can be."""
    factor, shift = affine(p)
    return np.abs(to_numpy(out) - (factor * SATURATION + shift)) < factor


@claim("alpha-dropout-values")
@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_alpha_dropout(cell, rng, p):
    x = cell.tensor(rng.uniform(1.0, 4.0, (40, 10)), requires_grad=True)
    out = cell.run(nn.AlphaDropout(p))(x)
    dropped = which_dropped(out, p)
    check(cell, out, to_numpy(x), dropped, p)
    assert 0 < dropped.sum() < dropped.size
    out.sum().backward()
    wanted = np.where(dropped, 0.0, affine(p)[0])
    assert_within(x.grad, wanted, roundings(cell, 3, wanted), what="gradient", because="the factor, rounded")


@claim("alpha-dropout-values")
@pytest.mark.parametrize("p", [0.2, 0.5])
def test_rate(cell, p):
    x = cell.tensor(np.full(20000, 2.0))
    drop = cell.run(nn.AlphaDropout(p))
    assert_rate(lambda: torch.from_numpy(which_dropped(drop(x), p)), p, what="an element dropped")


@claim("alpha-dropout-values")
def test_independent_of_its_neighbour(cell):
    x, p = cell.tensor(np.full((100, 200), 2.0)), 0.3
    drop = cell.run(lambda x: F.alpha_dropout(x, p, training=True))

    def alike():
        mask = which_dropped(drop(x), p)
        return torch.from_numpy(mask[:, ::2] == mask[:, 1::2])

    assert_rate(alike, p * p + (1 - p) ** 2, what="two elements dropped or kept alike")


@claim("feature-alpha-dropout-planes")
@pytest.mark.parametrize("sizes", [(3,), (2, 2), (2, 1, 3)], ids=["1-D", "2-D", "3-D"])
@pytest.mark.parametrize("p", [0.25, 0.5])
def test_feature_alpha_dropout(cell, rng, sizes, p):
    x = cell.tensor(rng.uniform(1.0, 4.0, (6, 20, *sizes)), requires_grad=True)
    out = cell.run(nn.FeatureAlphaDropout(p))(x)
    dropped = which_dropped(out, p)
    rows = dropped.reshape(120, -1)
    assert (rows.any(1) == rows.all(1)).all(), "a channel is dropped in part"
    check(cell, out, to_numpy(x), dropped, p)
    assert 0 < rows.all(1).sum() < 120
    assert (rows.all(1).reshape(6, 20) != rows.all(1)[:20]).any(), "all samples lose the same channels"
    out.sum().backward()
    wanted = np.where(dropped, 0.0, affine(p)[0])
    assert_within(x.grad, wanted, roundings(cell, 3, wanted), what="gradient", because="the factor, rounded")


@claim("feature-alpha-dropout-planes")
def test_rate_of_planes(cell):
    x = cell.tensor(np.full((200, 100, 1, 1), 2.0))
    layer = nn.FeatureAlphaDropout(0.2)
    assert_rate(lambda: torch.from_numpy(which_dropped(layer(x), 0.2)), 0.2, what="a channel dropped")


@claim("feature-alpha-dropout-unbatched")
def test_without_a_batch(cell):
    x = cell.tensor(np.full((32, 8, 2, 2), 2.0))
    rows = which_dropped(cell.run(nn.FeatureAlphaDropout(0.5))(x), 0.5).reshape(32, -1)
    part = int((rows.any(1) & ~rows.all(1)).sum())
    if part:
        raise AssertionError(f"expected channels masked or kept as a whole, seen {part} of 32 masked in part")


@claim("feature-alpha-dropout-trains-by-default")
def test_default_of_training(cell):
    x = cell.tensor(np.ones((8, 16, 2, 2)))
    out = cell.run(F.feature_alpha_dropout)(x)
    if torch.equal(out, x):
        raise AssertionError("expected channels masked by default, seen the input unchanged")
