"""Local response normalisation, in its two layers."""

import inspect

import numpy as np
import pytest
from torch import nn

from test_norm.common import HALF, LAYOUTS
from torchclaims import claim
from torchclaims.covering import board
from torchclaims.reference.normalisation import response_norm, response_norm_backward, windows_of_channels
from torchclaims.targets import RELEASE, to_numpy
from torchclaims.tolerance import accumulation_unit, assert_same, assert_within, gamma, rounding_unit, roundings

SHAPES = [(2, 5, 4), (2, 7, 3, 2), (1, 6, 2, 3, 2), (2, 5, 2, 1, 2, 2), (3, 1, 4), (1, 17, 3)]
ARGUMENTS = {"alpha": 0.5, "beta": 0.6, "k": 1.5}


def centred(channels, size):
    return windows_of_channels(channels, size // 2, size // 2)


def assert_divided(cell, output, x, window, size, alpha, beta, k):
    values = to_numpy(x)
    expected = response_norm(values, window, size, alpha, beta, k)
    # The scale has a relative error of size + 4 roundings, the power one more of a few ulps.
    steps = gamma(2 * size + 16, accumulation_unit(cell))
    if cell.dtype in HALF:
        steps += gamma(size + 8, rounding_unit(cell.dtype))
    bound = steps * (1 + np.abs(beta)) * np.abs(expected) + roundings(cell, 2, expected)
    assert_within(output, expected, bound, what="output", because="size + 8 roundings, half of them in the scale")


@claim("lrn-formula")
@board(2, 0, shape=SHAPES, size=[1, 3, 5, 31])
def test_output(cell, rng, shape, size):
    x = cell.tensor(rng.standard_normal(shape))
    output = cell.run(nn.LocalResponseNorm(size, **ARGUMENTS))(x)
    assert_divided(cell, output, x, centred(shape[1], size), size, **ARGUMENTS)


@claim("lrn-even-size")
@pytest.mark.parametrize("size", [2, 4])
def test_even_size(cell, size):
    x = cell.tensor(np.arange(1.0, 7.0).reshape(1, 6, 1))
    output = nn.LocalResponseNorm(size, alpha=float(size), beta=1.0, k=0.0)(x)
    assert_divided(cell, output, x, centred(6, size), size, float(size), 1.0, 0.0)


@claim("lrn-window-of-size")
@board(2, 0, shape=SHAPES, size=[2, 3, 4, 8])
def test_window(cell, rng, shape, size):
    x = cell.tensor(rng.standard_normal(shape))
    output = cell.run(nn.LocalResponseNorm(size, **ARGUMENTS))(x)
    window = windows_of_channels(shape[1], size // 2, (size - 1) // 2)
    assert_divided(cell, output, x, window, size, **ARGUMENTS)


@claim("lrn-half-precision")
@pytest.mark.parametrize("size", [1, 3, 5])
def test_half_precision(cell, rng, size):
    x = cell.tensor(rng.standard_normal((2, 7, 5)))
    output = nn.LocalResponseNorm(size, **ARGUMENTS)(x)
    assert output.dtype == cell.dtype
    assert_divided(cell, output, x, centred(7, size), size, **ARGUMENTS)


def assert_gradient(cell, x, grad, window, size, alpha, beta, k):
    values, gradient = to_numpy(x), to_numpy(grad)
    expected = response_norm_backward(gradient, values, window, size, alpha, beta, k)
    positive = np.abs(gradient) * np.abs(response_norm(np.ones_like(values), window, size, 0.0, beta, k))
    through = np.abs(expected - response_norm_backward(gradient, values, window, size, 0.0, beta, k))
    bound = gamma(8 * window.shape[0] + 40, accumulation_unit(cell)) * (positive + through + np.abs(gradient).sum())
    assert_within(x.grad, expected, bound, what="input's gradient", because="two sums over windows")


@claim("lrn-backward")
@board(2, 1, shape=SHAPES, size=[1, 3, 5])
def test_gradient(cell, rng, shape, size):
    x = cell.tensor(rng.standard_normal(shape), requires_grad=True)
    grad = cell.tensor(rng.standard_normal(shape))
    cell.run(nn.LocalResponseNorm(size, **ARGUMENTS))(x).backward(grad)
    assert_gradient(cell, x, grad, centred(shape[1], size), size, **ARGUMENTS)


@claim("lrn-any-layout")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5)], ids=str)
def test_views(cell, rng, layout, shape):
    x = LAYOUTS[layout](cell.tensor(rng.standard_normal(shape)))
    assert_divided(cell, nn.LocalResponseNorm(3, **ARGUMENTS)(x), x, centred(3, 3), 3, **ARGUMENTS)


@claim("lrn-five-dimensions-transposed")
def test_transposed_view(cell, rng):
    x = cell.tensor(rng.standard_normal((2, 3, 2, 4, 5))).transpose(3, 4)
    try:
        output = nn.LocalResponseNorm(3, **ARGUMENTS)(x)
    except RuntimeError as error:
        raise AssertionError(f"a transposed view is refused: {error}") from None
    assert_divided(cell, output, x, centred(3, 3), 3, **ARGUMENTS)


@claim("lrn-no-spatial-dimension")
def test_no_spatial_dimension(cell, rng):
    x = cell.tensor(rng.standard_normal((2, 5)))
    try:
        output = nn.LocalResponseNorm(3, **ARGUMENTS)(x)
    except ValueError as error:
        raise AssertionError(f"(2, 5) is refused: {error}") from None
    assert_divided(cell, output, x, centred(5, 3), 3, **ARGUMENTS)


@claim("lrn-arguments")
def test_arguments(cell, rng):
    module = nn.LocalResponseNorm(3)
    assert repr(module) == "LocalResponseNorm(3, alpha=0.0001, beta=0.75, k=1.0)"
    positional = nn.LocalResponseNorm(2, 0.5, 0.25, 3.0)
    assert (positional.size, positional.alpha, positional.beta, positional.k) == (2, 0.5, 0.25, 3.0)
    defaults = inspect.signature(nn.functional.local_response_norm).parameters
    assert [defaults[name].default for name in ("alpha", "beta", "k")] == [1e-4, 0.75, 1.0]
    # So large that an alpha of 1e-4 shows.
    x = cell.tensor(100 * rng.standard_normal((2, 5, 4)))
    assert_divided(cell, module(x), x, centred(5, 3), 3, 1e-4, 0.75, 1.0)
    assert_divided(cell, nn.functional.local_response_norm(x, 3), x, centred(5, 3), 3, 1e-4, 0.75, 1.0)


@claim("lrn-empty")
@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 0, 2)], ids=str)
def test_empty(cell, shape):
    x = cell.tensor(np.zeros(shape))
    assert_same(nn.LocalResponseNorm(3)(x), x, what="output")


# In CrossMapLRN2d a window has (size - 1) / 2 channels, rounded down, on each side.


def crossed(channels, size):
    return windows_of_channels(channels, (size - 1) // 2, (size - 1) // 2)


@claim("crossmaplrn-first-channels")
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("spatial", [(1, 1), (3, 2)])
def test_cross_map_within_one_side(cell, rng, size, spatial):
    # No channel leaves a window on the way.
    channels = (size - 1) // 2 + 1
    x = cell.tensor(rng.standard_normal((2, channels, *spatial)))
    output = nn.CrossMapLRN2d(size, **ARGUMENTS)(x)
    assert_divided(cell, output, x, crossed(channels, size), size, **ARGUMENTS)


@claim("crossmaplrn-window")
@pytest.mark.parametrize("size", [1, 3, 5])
def test_cross_map_window(cell, size):
    x = cell.tensor(np.arange(1.0, 9.0).reshape(1, 8, 1, 1))
    output = nn.CrossMapLRN2d(size, alpha=float(size), beta=1.0, k=0.0)(x)
    assert_divided(cell, output, x, crossed(8, size), size, float(size), 1.0, 0.0)


@claim("crossmaplrn-backward-one-channel")
@pytest.mark.parametrize(("size", "channels"), [(2, 1), (3, 1), (4, 2), (5, 2), (7, 3), (9, 2)])
def test_cross_map_gradient(cell, rng, size, channels):
    cross_map_gradient(cell, rng.standard_normal((2, channels, 2, 3)), rng.standard_normal((2, channels, 2, 3)), size)


@claim("crossmaplrn-backward")
@pytest.mark.parametrize(("size", "channels"), [(3, 2), (5, 3), (3, 6)])
def test_cross_map_gradient_of_a_full_side(cell, size, channels):
    values = np.arange(1.0, channels + 1).reshape(1, channels, 1, 1)
    cross_map_gradient(cell, values, np.ones_like(values), size)


def cross_map_gradient(cell, values, gradient, size):
    x = cell.tensor(values, requires_grad=True)
    grad = cell.tensor(gradient)
    nn.CrossMapLRN2d(size, **ARGUMENTS)(x).backward(grad)
    assert_gradient(cell, x, grad, crossed(values.shape[1], size), size, **ARGUMENTS)


@claim("crossmaplrn-arguments")
def test_cross_map_arguments(cell, rng):
    module = nn.CrossMapLRN2d(3)
    assert repr(module) == "CrossMapLRN2d(3, alpha=0.0001, beta=0.75, k=1)"
    for dimensions in (3, 5):
        with pytest.raises((ValueError, AssertionError)) as info:
            module(cell.tensor(np.ones((2,) * dimensions)))
        if RELEASE.release >= (2, 13):  # older ones assert without a word
            assert f"CrossMapLRN2d: Expected input to be 4D, got {dimensions}D instead" in str(info.value)
    x = cell.tensor(100 * rng.standard_normal((2, 2, 3, 2)))
    assert_divided(cell, module(x), x, crossed(2, 3), 3, 1e-4, 0.75, 1.0)
