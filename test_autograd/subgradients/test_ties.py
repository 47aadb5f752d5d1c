"""Functions of several elements: ties that share, norms at 0, products and determinants that vanish."""

import numpy as np
import pytest

from test_autograd.subgradients import kinks
from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, roundings


def assert_tie(cell, tie, count=8):
    for factor in (1.0, -2.0):
        x = cell.tensor(tie.point, requires_grad=True)
        y = cell.run(tie.function)(x)
        y.backward(cell.tensor(np.full(tuple(y.shape), factor)))
        expected = factor * np.array(tie.gradient)
        bound = roundings(cell, count, np.full(expected.shape, np.abs(expected).max()))
        assert_within(x.grad, expected, bound, what="gradient", because=f"{count} roundings of the largest")


@claim("subgradient-even-split")
@pytest.mark.parametrize("name", kinks.EVEN)
def test_even(cell, name):
    assert_tie(cell, kinks.EVEN[name])


@claim("subgradient-even-split")
@pytest.mark.parametrize("count", [2, 8, 17, 33])
@pytest.mark.parametrize("name", ["amax", "amin", "max", "vector_norm"])
def test_even_among_many(cell, rng, name, count):
    """The tied elements lie among others, at random, in a row of a matrix that is transposed."""
    values = rng.permutation(np.r_[np.full(count, 2.0), np.linspace(-1, 1, 40)])
    values = -values if name == "amin" else values
    x = cell.tensor(np.stack([values, 3 * values]).T).detach().t().requires_grad_()
    function = kinks.REDUCTIONS[name]
    y = cell.run(function)(x)
    y.sum().backward()
    share = np.where(values == values[np.abs(values).argmax()], 1 / count, 0.0)
    share = np.sign(values) * share if name == "vector_norm" else share
    rows = 1 if name == "max" else 2
    expected = np.stack([share * (rows == 2), share])
    bound = roundings(cell, 4, expected)
    assert_within(x.grad, expected, bound, what="gradient", because="one division")
    assert to_numpy(x.grad).sum() != 0


@claim("subgradient-even-split-aminmax")
@pytest.mark.parametrize("name", kinks.AMINMAX)
def test_aminmax(cell, name):
    assert_tie(cell, kinks.AMINMAX[name])


@claim("subgradient-even-split-segment")
@pytest.mark.parametrize("name", kinks.SEGMENT)
def test_segments(cell, name):
    assert_tie(cell, kinks.SEGMENT[name])


@claim("subgradient-norm-at-zero")
@pytest.mark.parametrize("name", kinks.ZEROS)
def test_norm_at_zero(cell, name):
    assert_tie(cell, kinks.ZEROS[name])


@claim("subgradient-norm-at-zero-full")
@pytest.mark.parametrize("name", kinks.ZEROS_FULL)
def test_distance_at_zero(cell, name):
    assert_tie(cell, kinks.ZEROS_FULL[name])


@claim("subgradient-differentiable")
@pytest.mark.parametrize("name", kinks.FLAT)
def test_derivative_of_several(cell, name):
    assert_tie(cell, kinks.FLAT[name])


@claim("subgradient-differentiable-full")
@pytest.mark.parametrize("name", kinks.FLAT_FULL)
def test_derivative_of_several_in_full_precision(cell, name):
    assert_tie(cell, kinks.FLAT_FULL[name])


@claim("subgradient-clamp-tensor")
@pytest.mark.parametrize("name", kinks.BINARY)
def test_two_tensors(cell, name):
    assert_tie(cell, kinks.BINARY[name])


@claim("subgradient-margin-loss")
@pytest.mark.parametrize("name", kinks.MARGIN_PAIR)
def test_margin_of_a_pair(cell, name):
    assert_tie(cell, kinks.MARGIN_PAIR[name])


@claim("subgradient-max-dim")
@pytest.mark.parametrize("name", kinks.MAX_DIM)
def test_max_dim(cell, name):
    assert_tie(cell, kinks.MAX_DIM[name])


@claim("subgradient-max-pool")
@pytest.mark.parametrize("name", kinks.POOLS)
def test_max_pool(cell, name):
    assert_tie(cell, kinks.POOLS[name])


@claim("subgradient-max-pool-full")
@pytest.mark.parametrize("name", kinks.POOLS_FULL)
def test_max_pool_in_full_precision(cell, name):
    assert_tie(cell, kinks.POOLS_FULL[name])


@claim("subgradient-topk")
@pytest.mark.parametrize("name", kinks.TOPK)
def test_topk(cell, name):
    assert_tie(cell, kinks.TOPK[name])


@claim("subgradient-sort")
@pytest.mark.parametrize("name", kinks.SORT)
def test_sort(cell, name):
    assert_tie(cell, kinks.SORT[name])


@claim("subgradient-kthvalue")
@pytest.mark.parametrize("name", kinks.KTHVALUE)
def test_kthvalue(cell, name):
    assert_tie(cell, kinks.KTHVALUE[name])


@claim("subgradient-cummax")
@pytest.mark.parametrize("name", kinks.CUMMAX)
def test_cummax(cell, name):
    assert_tie(cell, kinks.CUMMAX[name])


@claim("subgradient-quantile")
@pytest.mark.parametrize("name", kinks.QUANTILES)
def test_quantile(cell, name):
    assert_tie(cell, kinks.QUANTILES[name])


@claim("subgradient-chebyshev")
@pytest.mark.parametrize("name", kinks.CHEBYSHEV)
def test_chebyshev(cell, name):
    assert_tie(cell, kinks.CHEBYSHEV[name])


@claim("subgradient-hypot")
@pytest.mark.parametrize("name", kinks.HYPOT_PAIR)
def test_hypot(cell, name):
    assert_tie(cell, kinks.HYPOT_PAIR[name])


@claim("subgradient-matrix-norm")
@pytest.mark.parametrize("name", kinks.MATRIX_NORMS)
def test_matrix_norm(cell, name):
    assert_tie(cell, kinks.MATRIX_NORMS[name])


@claim("subgradient-spectral-norm")
@pytest.mark.parametrize("name", kinks.SPECTRAL)
def test_spectral_norm(cell, name):
    assert_tie(cell, kinks.SPECTRAL[name])


@claim("subgradient-nuclear-norm")
@pytest.mark.parametrize("name", kinks.NUCLEAR)
def test_nuclear_norm(cell, name):
    assert_tie(cell, kinks.NUCLEAR[name])


@claim("subgradient-det")
@pytest.mark.parametrize("name", kinks.DETERMINANTS)
def test_det(cell, name):
    assert_tie(cell, kinks.DETERMINANTS[name])


@claim("subgradient-det-low-rank")
@pytest.mark.parametrize("name", kinks.LOW_RANK)
def test_det_low_rank(cell, name):
    assert_tie(cell, kinks.LOW_RANK[name])
