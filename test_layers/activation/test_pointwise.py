"""ReLU, LeakyReLU and Sigmoid, element by element."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.covering import board
from torchclaims.reference import activation
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, gamma, rounding_unit, roundings

# Kernels work on vectors of 4 to 32 elements and finish what is left over otherwise.
SIZES = [(), (0,), (1,), (7,), (8,), (9,), (3, 5), (16,), (17,), (31,), (33,), (2, 3, 4, 5)]


def bound_of(cell, count, result):
    """``count`` roundings in at least single precision, one to the cell's dtype."""
    unit = min(rounding_unit(cell.dtype), rounding_unit(torch.float32))
    return gamma(count, unit) * np.abs(result) + roundings(cell, 1, result)


@claim("relu-formula")
def test_relu(cell, rng):
    relu = cell.run(nn.ReLU())
    for size in SIZES:
        x = cell.tensor(rng.normal(size=size))
        expected = activation.relu(to_numpy(x))
        assert_within(relu(x), expected, 0, what=f"relu of {size}", because="nothing is rounded")


@claim("relu-formula", "relu-gradient")
def test_relu_of_small_numbers(cell):
    # The smallest numbers of either sign, and those around 1e-3 and 1, by hand.
    tiny = float(torch.finfo(cell.dtype).smallest_normal)
    x = cell.tensor([-1.0, -(2.0**-10), -tiny, 0.0, tiny, 2.0**-10, 1.0, 6.5], requires_grad=True)
    out = cell.run(nn.ReLU())(x)
    assert_same(out.detach(), cell.tensor([0.0, 0.0, 0.0, 0.0, tiny, 2.0**-10, 1.0, 6.5]), what="relu(x)")
    out.backward(cell.tensor([3.0] * 8))
    assert_same(x.grad, cell.tensor([0.0] * 4 + [3.0] * 4), what="gradient")


@claim("relu-gradient")
def test_relu_gradient(cell, rng):
    relu = cell.run(nn.ReLU())
    for size in SIZES:
        # Every third element is exactly at the kink, as 0 or as -0.
        values = np.array(rng.normal(size=size))
        values.reshape(-1)[::3] = 0.0
        values.reshape(-1)[::6] = -0.0
        x, grad = cell.tensor(values, requires_grad=True), cell.tensor(rng.normal(size=size))
        relu(x).backward(grad)
        expected = activation.relu_backward(to_numpy(grad), to_numpy(x))
        assert_within(x.grad, expected, 0, what=f"gradient of {size}", because="nothing is rounded")


@claim("relu-special")
@pytest.mark.parametrize("length", [4, 37], ids=["short", "vectorised"])
def test_relu_special(cell, length):
    values = np.resize([np.nan, np.inf, -np.inf, -0.0], length)
    expected = np.resize([np.nan, np.inf, 0.0, 0.0], length)
    assert_within(cell.run(nn.ReLU())(cell.tensor(values)), expected, 0, what="relu(x)", because="special values")


@claim("relu-special")
def test_relu_of_other_kinds(cell):
    whole = torch.tensor([-3, 0, 5], device=cell.device.name)
    assert_same(nn.ReLU()(whole), torch.tensor([0, 0, 5], device=cell.device.name), what="relu of int64")
    with pytest.raises(RuntimeError, match=r"[Bb]ool"):
        nn.ReLU()(whole > 0)


@claim("relu-inplace")
@pytest.mark.parametrize("size", [(), (17,), (2, 3, 4, 5)], ids=str)
def test_relu_inplace(cell, rng, size):
    leaf, grad = cell.tensor(rng.normal(size=size), requires_grad=True), cell.tensor(rng.normal(size=size))
    x = leaf * 1
    out = cell.run(nn.ReLU(inplace=True))(x)
    assert out is x
    assert_within(x, activation.relu(to_numpy(leaf)), 0, what="the input afterwards", because="nothing is rounded")
    out.backward(grad)
    expected = activation.relu_backward(to_numpy(grad), to_numpy(leaf))
    assert_within(leaf.grad, expected, 0, what="gradient", because="nothing is rounded")


@claim("relu-inplace")
def test_relu_inplace_of_every_second(cell, rng):
    whole = cell.tensor(rng.normal(size=(3, 34)))
    expected = to_numpy(whole)
    expected[:, ::2] = activation.relu(expected[:, ::2])
    cell.run(nn.ReLU(inplace=True))(whole[:, ::2])
    assert_within(whole, expected, 0, what="the whole afterwards", because="nothing is rounded")


@claim("leaky-relu-formula")
@board(3, size=[(1,), (17,), (2, 3, 4, 5)], slope={"default": None, "a power of two": 0.25, "rounded": 0.3})
def test_leaky_relu(cell, rng, size, slope):
    layer = nn.LeakyReLU() if slope is None else nn.LeakyReLU(slope)
    slope = 0.01 if slope is None else slope
    # Where there is one element it is negative: only there the slope shows.
    signs = np.where(np.arange(np.prod(size)) % 2, 1.0, -1.0).reshape(size)
    x, grad = cell.tensor(signs * abs(rng.normal(size=size)), requires_grad=True), cell.tensor(rng.normal(size=size))
    out = cell.run(layer)(x)
    out.backward(grad)
    expected = activation.leaky_relu(to_numpy(x), slope)
    wanted = activation.leaky_relu_backward(to_numpy(grad), to_numpy(x), slope)
    because = "the slope and the product are rounded where x <= 0"
    for seen, right, what in ((out, expected, "leaky_relu(x)"), (x.grad, wanted, "gradient")):
        assert_within(seen, right, np.where(to_numpy(x) > 0, 0, roundings(cell, 2, right)), what=what, because=because)


@claim("sigmoid-formula")
def test_sigmoid(cell, rng):
    sigmoid, unit = cell.run(nn.Sigmoid()), min(rounding_unit(cell.dtype), rounding_unit(torch.float32))
    for size in SIZES:
        x, grad = (
            cell.tensor(rng.normal(size=size) * 3, requires_grad=True),
            cell.tensor(rng.normal(size=size)),
        )
        out = sigmoid(x)
        out.backward(grad)
        expected = activation.sigmoid(to_numpy(x))
        # The exponential is good to two units in the last place: four roundings; a sum and a division follow.
        bound = bound_of(cell, 6, expected)
        assert_within(out, expected, bound, what=f"sigmoid of {size}", because="an exponential, a sum, a division")
        # From the rounded output; a relative error of s is one of 1 - s that is s / (1 - s) as large.
        wanted = activation.sigmoid_backward(to_numpy(grad), to_numpy(x))
        worst = np.abs(wanted) * (1 + np.exp(np.maximum(to_numpy(x), 0)))
        bound = (gamma(7, unit) + rounding_unit(cell.dtype)) * worst + roundings(cell, 3, wanted)
        assert_within(x.grad, wanted, bound, what=f"gradient of {size}", because="s (1 - s) g from the rounded s")


@claim("sigmoid-formula")
def test_small_sigmoids(cell):
    # Down to the smallest normal numbers, a relative error is still one of a few roundings.
    lowest = 0.9 * np.log(float(torch.finfo(cell.dtype).smallest_normal))
    x = cell.tensor(np.linspace(lowest, 10, 37))
    expected = activation.sigmoid(to_numpy(x))
    seen = cell.run(nn.Sigmoid())(x)
    assert_within(seen, expected, bound_of(cell, 6, expected), what="sigmoid(x)", because="an exponential, +, /")


@claim("sigmoid-formula")
def test_sigmoid_far_out(cell):
    x = cell.tensor([-np.inf, -1e4, -12.0, 0.0, 40.0, 1e4, np.inf, np.nan])
    expected = activation.sigmoid(to_numpy(x))
    seen = cell.run(nn.Sigmoid())(x)
    assert_within(seen, expected, bound_of(cell, 6, expected), what="sigmoid(x)", because="an exponential, +, /")
