"""Dropout of elements."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.chance import assert_rate
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, roundings

rates = pytest.mark.parametrize("p", [0.5, 0.2, 0.9])


@claim("dropout-rate")
@rates
def test_rate(cell, p):
    drop = cell.run(nn.Dropout(p))
    x = cell.tensor(np.ones((100, 400)))
    assert_rate(lambda: drop(x) == 0, p, what=f"an element dropped by Dropout({p})")


def alike_by_chance(p):
    """How often two independent elements are both dropped or both kept."""
    return p * p + (1 - p) * (1 - p)


@claim("dropout-rate")
@pytest.mark.parametrize("axis", [0, 1, 2], ids=["samples", "channels", "neighbours"])
def test_independent_elements(cell, axis):
    drop = cell.run(nn.Dropout(0.3))
    x = cell.tensor(np.ones((20, 10, 100)))

    def alike():
        even, odd = (drop(x) == 0).unflatten(axis, (-1, 2)).unbind(axis + 1)
        return even == odd

    assert_rate(alike, alike_by_chance(0.3), what="two elements dropped or kept alike")


@claim("dropout-rate")
def test_independent_halves(cell):
    # Far apart: a generator whose offset does not move on repeats itself after a block.
    drop = cell.run(nn.Dropout(0.3))
    x = cell.tensor(np.ones((2, 8, 1024)))

    def alike():
        first, second = (drop(x) == 0).unbind()
        return first == second

    assert_rate(alike, alike_by_chance(0.3), what="two elements dropped or kept alike")


@claim("dropout-rate")
def test_independent_calls(cell):
    drop = cell.run(nn.Dropout(0.3))
    x = cell.tensor(np.ones((10, 1000)))
    assert_rate(
        lambda: (drop(x) == 0) == (drop(x) == 0),
        alike_by_chance(0.3),
        what="an element dropped or kept again",
    )


@claim("dropout-rate")
@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
def test_rate_at_the_ends(cell, place):
    # What kernels work on in vectors has a beginning and a remainder.
    drop, x = cell.run(nn.Dropout(0.3)), cell.tensor(np.ones(37))
    assert_rate(lambda: torch.stack([drop(x)[place] == 0 for _ in range(300)]), 0.3, what="an end dropped")


@claim("dropout-scale")
@pytest.mark.parametrize("p", [0.0, 0.5, 0.75, 0.3])
@pytest.mark.parametrize("shape", [(37,), (2, 3, 4, 5)], ids=str)
def test_scale(cell, rng, p, shape):
    draws = rng.normal(size=shape)  # none of which shall be rounded to 0, as if dropped
    x, grad = cell.tensor(draws + np.copysign(0.1, draws), requires_grad=True), cell.tensor(rng.normal(size=shape))
    out = cell.run(nn.Dropout(p))(x)
    out.backward(grad)
    kept = to_numpy(out) != 0
    assert kept.all() or p > 0
    # 1 / (1 - p) is rounded unless it is a power of two, then the product; the mask may be rounded before.
    count = 0 if p in (0.0, 0.5, 0.75) else 3
    for seen, values, what in ((out, x, "output"), (x.grad, grad, "gradient")):
        expected = np.where(kept, to_numpy(values) / (1 - p), 0)
        bound = roundings(cell, count, expected) if count else 0
        assert_within(seen, expected, bound, what=what, because="a factor and a product, rounded where not powers of 2")


@claim("dropout-scale")
def test_scale_of_an_expanded_gradient(cell, rng):
    x = cell.tensor(np.abs(rng.normal(size=(3, 37))) + 0.5, requires_grad=True)
    out = cell.run(nn.Dropout(0.75))(x)
    out.sum().backward()
    assert_same(x.grad, cell.tensor(np.where(to_numpy(out) == 0, 0, 4.0)), what="gradient of the sum")


@claim("dropout-scale")
def test_all_dropped(cell, rng):
    x = cell.tensor(rng.normal(size=(3, 5)), requires_grad=True)
    out = cell.run(nn.Dropout(1.0))(x)
    assert_same(out.detach(), torch.zeros_like(x), what="output with p=1")
    out.sum().backward()
    assert_same(x.grad, torch.zeros_like(x), what="gradient with p=1")


@claim("dropout-eval")
@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout])
@pytest.mark.parametrize("p", [0.5, 1.0])
def test_evaluation(cell, rng, kind, p):
    dims = {"Dropout1d": 1, "Dropout2d": 2, "Dropout3d": 3}.get(kind.__name__, 2)
    x = cell.tensor(rng.normal(size=(3, 4, *(5, 2, 3)[:dims])), requires_grad=True)
    out = cell.run(kind(p).eval())(x)
    assert_same(out.detach(), x.detach(), what="output in evaluation")
    out.sum().backward()
    assert_same(x.grad, torch.ones_like(x), what="gradient in evaluation")


@claim("dropout-probability-refused")
@pytest.mark.parametrize("p", [-0.1, 1.1])
@pytest.mark.parametrize("kind", ["Dropout", "Dropout2d"])
def test_probability(cell, p, kind):
    with pytest.raises(ValueError, match="has to be between 0 and 1"):
        getattr(nn, kind)(p)
    x = torch.ones(2, 3, 4, 5, device=cell.device.name, dtype=cell.dtype)
    function = {"Dropout": nn.functional.dropout, "Dropout2d": nn.functional.dropout2d}[kind]
    with pytest.raises(ValueError, match="has to be between 0 and 1"):
        function(x, p)


@claim("dropout-inplace")
def test_inplace(cell, rng):
    values = rng.normal(size=(8, 16))
    x = cell.tensor(values)
    out = cell.run(nn.Dropout(0.5, inplace=True))(x)
    assert out.data_ptr() == x.data_ptr()
    assert_same(out, x, what="output and input")
    assert_within(x, np.where(to_numpy(x) != 0, 2 * to_numpy(cell.tensor(values)), 0), 0, what="input", because="exact")
    assert 0 < int((x == 0).sum()) < x.numel()
