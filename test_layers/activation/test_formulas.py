"""Each activation that works number by number beside its formula: values, gradients, layouts, in place."""

import numpy as np
import pytest
import torch
from torch import nn

from test_layers.activation.formulas import LAYERS, around, every_layer, every_layer_in_place
from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, gamma, rounding_unit, roundings

SIZES = [(), (0,), (1,), (7,), (16,), (17,), (33,), (2, 3, 4, 5)]
BECAUSE = "an exponential good to two units in the last place, and a few operations"


def bound_of(cell, size, result, steps):
    """A dozen roundings in at least single precision, then ``steps`` and one to the cell's dtype."""
    unit = min(rounding_unit(cell.dtype), rounding_unit(torch.float32))
    return gamma(12, unit) * size + roundings(cell, steps, size) + roundings(cell, 1, result)


def assert_value(cell, seen, x, layer, what):
    value, size = layer.formula.value(x), layer.formula.size(x)
    assert_within(seen, value, bound_of(cell, size, value, layer.steps), what=what, because=BECAUSE)


def assert_gradient(cell, seen, grad, x, layer, what, result=0):
    """``result`` is the value, where the gradient is taken from its rounding."""
    if layer.kind is nn.Hardsigmoid:
        return  # hardsigmoid-gradient decides it
    slope, size = grad * layer.formula.slope(x), np.abs(grad) * layer.formula.slope_size(x)
    # Of functions that are composed, each operation's gradient is rounded too.
    bound = bound_of(cell, size, slope, 2 * layer.steps) + np.abs(grad) * roundings(cell, 1, np.asarray(result))
    assert_within(seen, slope, bound, what=what, because=BECAUSE)


def off_the_kinks(cell, values, layer):
    """``values`` in the cell's dtype; what is at a kink, where the slope is another claim's, is moved."""
    rounded = to_numpy(cell.tensor(values))
    return np.where(np.isin(rounded, layer.formula.kinks), 0.3125, rounded)


@claim("act-formulas")
@every_layer
def test_value(cell, rng, layer):
    function = cell.run(layer.make())
    for shape in SIZES:
        x = cell.tensor(around(rng, layer, shape))
        assert_value(cell, function(x), to_numpy(x), layer, f"value of {shape}")


@claim("act-formulas")
@every_layer
def test_value_at_the_kinks_and_near_zero(cell, layer):
    function = cell.run(layer.make())
    kinks = np.array([0.0, -0.0, *layer.formula.kinks])
    eps = float(torch.finfo(cell.dtype).eps)
    # At the kinks, and the nearest numbers on both sides.
    x = cell.tensor(np.concatenate([kinks, kinks * (1 + eps), kinks * (1 - eps), [-eps, eps]]))
    assert_value(cell, function(x), to_numpy(x), layer, "value at the kinks")
    # Differences such as exp(x) - 1 lose all their digits here, unless they are avoided.
    x = cell.tensor(np.outer([-1, 1], [2.0**-4, 2.0**-8, 2.0**-11]).ravel())
    assert_value(cell, function(x), to_numpy(x), layer, "value of small numbers")


@claim("act-formulas", "act-gradients")
@every_layer
def test_far_out(cell, layer):
    x = cell.tensor(np.linspace(-60, 60, 37), requires_grad=True)
    out = cell.run(layer.make())(x)
    assert_value(cell, out, to_numpy(x), layer, "value far from 0")
    out.sum().backward()
    assert_gradient(cell, x.grad, np.ones(37), to_numpy(x), layer, "gradient far from 0")


@claim("act-gradients")
@every_layer
def test_gradient(cell, rng, layer):
    function = cell.run(layer.make())
    for shape in SIZES:
        values = off_the_kinks(cell, around(rng, layer, shape), layer)
        x, grad = cell.tensor(values, requires_grad=True), cell.tensor(rng.normal(size=shape))
        function(x).backward(grad)
        assert_gradient(cell, x.grad, to_numpy(grad), to_numpy(x), layer, f"gradient of {shape}")


VIEWS = {
    "transposed": lambda x: x.transpose(0, 2),
    "every second": lambda x: x[::2, :, 1::2],
    "offset": lambda x: x.flatten()[3:38].view(5, 7),
    "expanded": lambda x: x[:, :1].expand(4, 6, 10),
}


@claim("act-layouts")
@every_layer
def test_views(cell, rng, layer):
    function = cell.run(layer.make())
    values = off_the_kinks(cell, around(rng, layer, (4, 6, 10)), layer)
    for name, view in VIEWS.items():
        leaf = cell.tensor(values, requires_grad=True)
        x = view(leaf)
        out = function(x)
        assert_value(cell, out, to_numpy(x), layer, f"value, {name}")
        (slope,) = torch.autograd.grad(out, x, torch.ones_like(out))
        assert_gradient(cell, slope, np.ones(x.shape), to_numpy(x), layer, f"gradient, {name}")


@claim("act-inplace")
@every_layer_in_place
def test_in_place(cell, rng, layer):
    for shape in [(), (17,), (2, 3, 4, 5)]:
        leaf = cell.tensor(off_the_kinks(cell, around(rng, layer, shape), layer), requires_grad=True)
        values, x, grad = to_numpy(leaf), leaf * 1, cell.tensor(rng.normal(size=shape))
        function = layer.make(inplace=True)
        assert function(x) is x
        assert_value(cell, x, values, layer, f"the input of {shape} afterwards")
        x.backward(grad)
        # The input is gone: the exponential functions take their gradient from the output.
        result = layer.formula.value(values) if layer.kind in (nn.ELU, nn.SELU, nn.CELU) else 0
        result = result / layer.arguments.get("alpha", 1.0) if layer.kind is nn.CELU else result
        assert_gradient(cell, leaf.grad, to_numpy(grad), values, layer, f"gradient of {shape}", result)
    whole = cell.tensor(around(rng, layer, (3, 34)))
    before = to_numpy(whole)
    layer.make(inplace=True)(whole[:, ::2])
    assert_value(cell, whole[:, ::2], before[:, ::2], layer, "what was changed in place")
    assert_within(whole[:, 1::2], before[:, 1::2], 0, what="what lies between", because="it is not touched")
    out = layer.make()(whole[:, 1::2])
    assert_within(whole[:, 1::2], before[:, 1::2], 0, what="the input of a layer out of place", because="it stays")
    assert out.data_ptr() != whole[:, 1::2].data_ptr()


# Where the formula has a limit that arithmetic with infinities finds too.
AT_INFINITY = {
    "ELU, alpha": (-0.75, np.inf),
    "CELU, alpha": (-0.5, np.inf),
    "SELU": (-1.0507009873554805 * 1.6732632423543772, np.inf),
    "GELU": (None, np.inf),
    "GELU, tanh": (None, np.inf),
    "SiLU": (None, np.inf),
    "Mish": (None, np.inf),
    "Softplus": (0.0, np.inf),
    "Softplus, beta and threshold": (0.0, np.inf),
    "Tanh": (-1.0, 1.0),
    "Tanhshrink": (-np.inf, np.inf),
    "LogSigmoid": (-np.inf, 0.0),
    "Softshrink": (-np.inf, np.inf),
    "Hardshrink": (-np.inf, np.inf),
    "Hardtanh": (-1.0, 1.0),
    "ReLU6": (0.0, 6.0),
    "Hardsigmoid": (0.0, 1.0),
    "LeakyReLU": (-np.inf, np.inf),
    "RReLU": (-np.inf, np.inf),
    "Threshold": (-7.5, np.inf),
}


@claim("act-infinities")
@pytest.mark.parametrize(("name", "ends"), AT_INFINITY.items(), ids=AT_INFINITY)
def test_infinities(cell, name, ends):
    function = cell.run(LAYERS[name].make())
    for infinity, end in zip((-np.inf, np.inf), ends, strict=True):
        if end is None:
            continue
        for length in (1, 37):
            seen = function(cell.tensor(np.full(length, infinity)))
            bound = roundings(cell, 4, np.asarray(end)) if np.isfinite(end) and end % 0.25 else 0
            assert_within(seen, np.full(length, end), bound, what=f"value at {infinity}", because="it is a limit")


@claim("act-infinities")
@pytest.mark.parametrize("name", ["Sigmoid", "Tanh", "GELU", "SiLU", "Mish", "Softsign", "Tanhshrink", "ReLU6", "ELU"])
def test_nan(cell, name):
    layer = nn.Sigmoid() if name == "Sigmoid" else LAYERS[name].make()
    function = cell.run(layer)
    for length in (1, 37):
        x = cell.tensor(np.where(np.arange(length) % 3, 0.5, np.nan))
        seen = np.isnan(to_numpy(function(x)))
        assert seen.tolist() == np.isnan(to_numpy(x)).tolist(), f"NaN of {length}"


@claim("softplus-threshold")
def test_softplus_is_linear_beyond_the_threshold(cell):
    # For beta x > threshold the output is x itself: at 1.75 the curve would be 0.016 higher.
    x = cell.tensor([0.75, 0.875, 1.75, 5.0, 30.0])
    seen = cell.run(nn.Softplus(beta=2.0, threshold=1.5))(x)
    assert_within(seen[1:], to_numpy(x)[1:], 0, what="softplus beyond the threshold", because="it is the input")
    curve = np.log1p(np.exp(1.5)) / 2
    bound = bound_of(cell, np.asarray(2 * curve), np.asarray(curve), 0)
    assert_within(seen[0], curve, bound, what="softplus at the threshold", because=BECAUSE)
    # With beta < 0 it is the product that counts: -2 * -5 is beyond the threshold.
    x = cell.tensor([-5.0, -0.5, 1.0])
    expected = np.array([-5.0, -np.log1p(np.exp(1.0)) / 2, -np.log1p(np.exp(-2.0)) / 2])
    seen = cell.run(nn.Softplus(beta=-2.0, threshold=1.5))(x)
    bound = bound_of(cell, 2 * np.abs(expected), expected, 0)
    assert_within(seen, expected, bound, what="softplus with beta < 0", because=BECAUSE)


@claim("hardsigmoid-gradient")
def test_hardsigmoid_gradient(cell, rng):
    for shape in SIZES:
        x = cell.tensor(off_the_kinks(cell, around(rng, LAYERS["Hardsigmoid"], shape), LAYERS["Hardsigmoid"]))
        x.requires_grad_()
        grad = cell.tensor(rng.normal(size=shape))
        cell.run(nn.Hardsigmoid())(x).backward(grad)
        expected = to_numpy(grad) * LAYERS["Hardsigmoid"].formula.slope(to_numpy(x))
        bound = roundings(cell, 3, expected)
        assert_within(x.grad, expected, bound, what=f"gradient of {shape}", because="a quotient and a product, rounded")


@claim("celu-gradient")
@pytest.mark.parametrize("alpha", [0.7, 3.1])
def test_celu_gradient(cell, alpha):
    x = cell.tensor([-4.0, -1.5, -0.75, -0.125, 0.5], requires_grad=True)
    cell.run(nn.CELU(alpha))(x).sum().backward()
    values = to_numpy(x)
    expected = np.where(values > 0, 1.0, np.exp(np.minimum(values, 0) / alpha))
    bound = bound_of(cell, expected * (1 + np.abs(values) / alpha), expected, 0)
    assert_within(x.grad, expected, bound, what="gradient", because=BECAUSE)


@claim("hardswish-linear")
def test_hardswish_is_x_from_three_up(cell):
    largest = float(torch.finfo(cell.dtype).max)
    x = cell.tensor(np.array([3.0, 64.0, largest / 2, largest]))
    expected = to_numpy(x)
    seen = cell.run(nn.Hardswish())(x)
    assert_within(seen, expected, roundings(cell, 2, expected), what="hardswish(x)", because="x, but for two roundings")


@claim("hardswish-flat")
def test_hardswish_is_zero_up_to_minus_three(cell):
    x = cell.tensor([-3.0, -64.0, -np.inf])
    seen = cell.run(nn.Hardswish())(x)
    assert_within(seen, np.zeros(3), 0, what="hardswish(x)", because="it is 0")
