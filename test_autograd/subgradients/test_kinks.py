"""Elementwise functions at their kinks: the sub- or supergradient of smallest size, in every loop of a kernel."""

import numpy as np
import pytest

from test_autograd.subgradients import kinks
from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, roundings

# One element, then the vectorised loop and its remainder, then a tensor that no loop finds contiguous.
LAYOUTS = {"one": (1,), "vector": (35,), "strided": (35, 2)}


def assert_kink(cell, kink):
    for layout, shape in LAYOUTS.items():
        values = cell.tensor(np.full(shape, kink.point))
        x = (values[:, 1] if layout == "strided" else values).detach().requires_grad_()
        y = cell.run(kink.function)(x)
        upstream = cell.tensor(np.resize([1.0, -2.0, 0.5, 3.0], tuple(y.shape)))
        y.backward(upstream)
        expected = kink.gradient * to_numpy(upstream).reshape(tuple(x.shape))
        bound = roundings(cell, 8, expected)
        assert_within(x.grad, expected, bound, what=f"gradient of {layout}", because="a derivative of few roundings")


@claim("subgradient-differentiable")
@pytest.mark.parametrize("name", kinks.SMOOTH)
def test_derivative(cell, name):
    assert_kink(cell, kinks.SMOOTH[name])


@claim("subgradient-differentiable-full")
@pytest.mark.parametrize("name", kinks.SMOOTH_FULL)
def test_derivative_in_full_precision(cell, name):
    assert_kink(cell, kinks.SMOOTH_FULL[name])


@claim("subgradient-convex")
@pytest.mark.parametrize("name", kinks.CONVEX)
def test_convex(cell, name):
    assert_kink(cell, kinks.CONVEX[name])


@claim("subgradient-convex-full")
@pytest.mark.parametrize("name", kinks.CONVEX_FULL)
def test_convex_in_full_precision(cell, name):
    assert_kink(cell, kinks.CONVEX_FULL[name])


@claim("subgradient-concave")
@pytest.mark.parametrize("name", kinks.CONCAVE)
def test_concave(cell, name):
    assert_kink(cell, kinks.CONCAVE[name])


@claim("subgradient-l1-of-smooth-l1")
def test_smooth_l1_of_beta_zero(cell):
    assert_kink(cell, kinks.SMOOTH_L1_OF_BETA_ZERO)


@claim("subgradient-clamp")
@pytest.mark.parametrize("name", kinks.CLAMPS)
def test_clamp(cell, name):
    assert_kink(cell, kinks.CLAMPS[name])


@claim("subgradient-clamp-constant")
@pytest.mark.parametrize("name", kinks.CONSTANT_CLAMP)
def test_clamp_of_bounds_that_meet(cell, name):
    assert_kink(cell, kinks.CONSTANT_CLAMP[name])


@claim("subgradient-margin-loss")
@pytest.mark.parametrize("name", kinks.LOSSES)
def test_margin(cell, name):
    assert_kink(cell, kinks.LOSSES[name])


@claim("subgradient-leaky-relu")
@pytest.mark.parametrize("name", kinks.STEEP)
def test_leaky_relu(cell, name):
    assert_kink(cell, kinks.STEEP[name])


@claim("subgradient-rrelu")
def test_rrelu(cell):
    assert_kink(cell, kinks.STEEP_RRELU)


@claim("subgradient-softshrink-nothing")
def test_softshrink(cell):
    assert_kink(cell, kinks.SOFTSHRINK)


@claim("subgradient-hardshrink-nothing")
def test_hardshrink(cell):
    assert_kink(cell, kinks.HARDSHRINK)


@claim("subgradient-hypot")
def test_hypot_of_a_constant_zero(cell):
    assert_kink(cell, kinks.HYPOT)
