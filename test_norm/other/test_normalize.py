"""F.normalize, beside v / max(norm, eps)."""

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from test_norm.common import HALF, LAYOUTS
from torchclaims import claim
from torchclaims.covering import board
from torchclaims.reference.normalisation import p_norm
from torchclaims.targets import RELEASE, to_numpy
from torchclaims.tolerance import accumulation_unit, assert_same, assert_within, gamma, rounding_unit, roundings

POWERS = [0.0, 0.5, 1.0, 2.0, 3.0, float("inf")]


def steps_of(cell, count):
    """n terms, a power and its root are rounded, with at most 8 ulps for each power."""
    return gamma(4 * count + 40, accumulation_unit(cell)) + (
        gamma(2, rounding_unit(cell.dtype)) if cell.dtype in HALF else 0
    )


def assert_normalised(cell, output, x, p, axes, eps):
    values = to_numpy(x)
    norm = p_norm(values, p, axes)
    expected = values / np.maximum(norm, eps)
    count = int(np.prod([values.shape[axis] for axis in axes]))
    bound = steps_of(cell, count) * np.abs(expected) + roundings(cell, 2, expected)
    assert_within(output, expected, bound, what="output", because="a norm of n terms and a division")


@claim("normalize-formula")
@board(p=POWERS, dim=[0, 1, -1, (0, 2), (1, 2)])
def test_output(cell, rng, p, dim):
    if cell.dtype == torch.bfloat16 and RELEASE.release < (2, 1):
        pytest.skip("does not apply: before PyTorch 2.1 bfloat16 norms over several dimensions rounded on the way")
    x = cell.tensor(rng.standard_normal((3, 4, 5)))
    axes = tuple(axis % 3 for axis in (dim if isinstance(dim, tuple) else (dim,)))
    output = cell.run(F.normalize)(x, p=p, dim=dim, eps=0.25)
    assert_normalised(cell, output, x, p, axes, 0.25)


@claim("normalize-formula")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_output_of_views(cell, rng, layout):
    x = LAYOUTS[layout](cell.tensor(rng.standard_normal((2, 3, 4, 5))))
    assert_normalised(cell, cell.run(F.normalize)(x, dim=2), x, 2.0, (2,), 1e-6)


@claim("normalize-formula")
@pytest.mark.parametrize("size", [0.5, 2.0, 4.0])
def test_eps_is_the_least_divisor(cell, size):
    x = cell.tensor([[size, 0.0, -size]])
    output = cell.run(F.normalize)(x, p=1.0, eps=2.0)
    assert_normalised(cell, output, x, 1.0, (1,), 2.0)


@claim("normalize-defaults")
def test_defaults(cell, rng):
    defaults = inspect.signature(F.normalize).parameters
    assert [defaults[name].default for name in ("p", "dim", "eps", "out")] == [2.0, 1, 1e-12, None]
    x = cell.tensor(rng.standard_normal((3, 4, 2)))
    assert_normalised(cell, cell.run(F.normalize)(x), x, 2.0, (1,), 1e-12)
    tiny = cell.tensor([[3e-13, 4e-13]])
    assert_normalised(cell, cell.run(F.normalize)(tiny), tiny, 2.0, (1,), 1e-12)


@claim("normalize-zero")
@pytest.mark.parametrize("p", [1.0, 2.0, float("inf")])
def test_zeros(cell, p):
    x = cell.tensor(np.zeros((2, 3)))
    assert_within(cell.run(F.normalize)(x, p=p), np.zeros((2, 3)), 0.0, what="output", because="0 / eps is 0")


@claim("normalize-backward")
def test_gradient(cell, rng):
    x = cell.tensor(rng.standard_normal((3, 5)), requires_grad=True)
    grad = cell.tensor(rng.standard_normal((3, 5)))
    cell.run(F.normalize)(x).backward(grad)
    values, gradient = to_numpy(x), to_numpy(grad)
    norm = p_norm(values, 2.0, (1,))
    y = values / norm
    expected = (gradient - y * (y * gradient).sum(1, keepdims=True)) / norm
    bound = gamma(60, accumulation_unit(cell)) * (np.abs(gradient) + np.abs(y * gradient).sum(1, keepdims=True)) / norm
    assert_within(x.grad, expected, bound, what="input's gradient", because="60 roundings")
    small = cell.tensor([[0.25, -0.5]], requires_grad=True)
    cell.run(F.normalize)(small, eps=2.0).backward(cell.tensor([[1.0, 3.0]]))
    assert small.grad.tolist() == [[0.5, 1.5]]


@claim("normalize-out")
def test_out(cell, rng):
    x = cell.tensor(rng.standard_normal((3, 5)))
    out = torch.empty_like(x)
    assert F.normalize(x, p=1.0, out=out) is out
    assert_normalised(cell, out, x, 1.0, (1,), 1e-12)
    F.normalize(x, p=1.0, eps=100.0, out=out)
    assert_normalised(cell, out, x, 1.0, (1,), 100.0)
    kept = out.clone()
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        F.normalize(x.clone().requires_grad_(), out=out)
    assert_same(out, kept, what="out after the error")
