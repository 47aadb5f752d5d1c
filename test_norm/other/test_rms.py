"""RMSNorm, forward and backward, beside the formula."""

import numpy as np
import pytest
import torch
from torch import nn

from test_norm.common import HALF, LAYOUTS, WIDTHS, numbers, unlike_scale, with_parameters
from torchclaims import claim
from torchclaims.covering import board
from torchclaims.reference import normalisation
from torchclaims.targets import to_numpy
from torchclaims.tolerance import accumulation_unit, assert_same, assert_within, gamma, rounding_unit, roundings

CASES = {
    "a vector": ((7,), (7,)),
    "rows": ((5,), (3, 5)),
    "two dimensions": ((3, 5), (4, 3, 5)),
    "an image": ((2, 3, 4), (3, 2, 3, 4)),
    "one element": ((1,), (3, 1)),
    "all dimensions": ((2, 3), (2, 3)),
}


def axes_of(shape, x):
    return tuple(range(x.ndim - len(shape), x.ndim))


def roundings_of(cell, shape):
    """n squares are added, divided and rooted in the accumulation's type; half precision is rounded on the way."""
    count = int(np.prod(shape))
    unit = gamma(count + 8, accumulation_unit(cell))
    return unit + (gamma(3, rounding_unit(cell.dtype)) if cell.dtype in HALF else 0.0)


def assert_normalised(cell, output, x, shape, eps, weight=None):
    values, weight = to_numpy(x), numbers(weight, 1.0)
    expected = normalisation.rms_norm(values, axes_of(shape, values), eps) * weight
    bound = roundings_of(cell, shape) * np.abs(expected) + roundings(cell, 2, expected)
    assert output.dtype == x.dtype
    assert_within(output, expected, bound, what="output", because="n + 8 roundings")


@claim("rmsnorm-formula")
@board(2, 0, shape__size=CASES, affine=[True, False])
def test_output(cell, rng, shape, size, affine):
    module = with_parameters(cell, nn.RMSNorm(shape, eps=0.01, elementwise_affine=affine), rng)
    x = cell.tensor(unlike_scale(rng, size, axis=0))
    assert_normalised(cell, cell.run(module)(x), x, shape, 0.01, module.weight)


@claim("rmsnorm-formula")
@pytest.mark.parametrize("width", WIDTHS)
def test_output_around_vector_widths(cell, rng, width):
    module = with_parameters(cell, nn.RMSNorm(width, eps=0.01), rng)
    x = cell.tensor(unlike_scale(rng, (3, width), axis=0))
    assert_normalised(cell, cell.run(module)(x), x, (width,), 0.01, module.weight)


@claim("rmsnorm-formula")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_output_of_views(cell, rng, layout):
    module = with_parameters(cell, nn.RMSNorm((4, 5), eps=0.01), rng)
    x = LAYOUTS[layout](cell.tensor(unlike_scale(rng, (2, 3, 4, 5))))
    assert_normalised(cell, cell.run(module)(x), x, (4, 5), 0.01, module.weight)


@claim("rmsnorm-backward")
@board(2, 1, shape__size=CASES, affine=[True, False])
def test_gradients(cell, rng, shape, size, affine):
    module = with_parameters(cell, nn.RMSNorm(shape, eps=0.01, elementwise_affine=affine), rng)
    x = cell.tensor(unlike_scale(rng, size, axis=0), requires_grad=True)
    grad = cell.tensor(rng.standard_normal(size))
    cell.run(module)(x).backward(grad)
    values, gradient = to_numpy(x), to_numpy(grad)
    axes = axes_of(shape, values)
    scaled = gradient * numbers(module.weight, 1.0)
    expected = normalisation.rms_norm_backward(scaled, values, axes, 0.01)
    inverse = 1 / np.sqrt(0.01 + (values**2).mean(axes, keepdims=True))
    # Half precision is rounded between the steps, each of which enters the difference of the two terms.
    steps = roundings_of(cell, shape) * 6 + (gamma(8, rounding_unit(cell.dtype)) if cell.dtype in HALF else 0.0)
    size_x = inverse * np.abs(scaled) + inverse**3 * np.abs(values) * np.abs(scaled * values).mean(axes, keepdims=True)
    assert_within(
        x.grad,
        expected,
        steps * size_x + roundings(cell, 2, expected),
        what="input's gradient",
        because="two terms of n + 8 roundings",
    )
    if affine:
        rows = tuple(range(values.ndim - len(shape)))
        products = gradient * values * inverse
        wanted = products.sum(rows)
        count = products.size // wanted.size
        unit = gamma(count + 2, rounding_unit(cell.dtype)) + steps
        assert_within(
            module.weight.grad,
            wanted,
            unit * np.abs(products).sum(rows) + roundings(cell, 2, wanted),
            what="weight's gradient",
            because="a sum over the rows",
        )


@claim("rmsnorm-default-eps")
@pytest.mark.parametrize("way", ["layer", "function"])
def test_default_eps(cell, way):
    # 1e-4 squared is a tenth of float32's epsilon and nothing beside bfloat16's.
    eps = float(torch.finfo(torch.float64 if cell.dtype == torch.float64 else torch.float32).eps)
    size = 1e-4 if cell.dtype != torch.float64 else 1e-8
    x = cell.tensor([[size, -size, 2 * size, 0.0]])
    layer = cell.place(nn.RMSNorm(4))
    assert layer.eps is None
    output = layer(x) if way == "layer" else nn.functional.rms_norm(x, (4,))
    assert_normalised(cell, output, x, (4,), eps)


@claim("rmsnorm-arguments")
def test_arguments():
    module = nn.RMSNorm(4)
    assert (module.normalized_shape, module.eps, list(module.state_dict())) == ((4,), None, ["weight"])
    assert_same(module.weight.detach(), torch.ones(4), what="weight")
    with torch.no_grad():
        module.weight.fill_(3.0)
    module.reset_parameters()
    assert_same(module.weight.detach(), torch.ones(4), what="weight after a reset")
    assert repr(module).startswith("RMSNorm((4,), eps=None, elementwise_affine=True")
    plain = nn.RMSNorm([2, 3], 0.5, False)
    assert (plain.normalized_shape, plain.eps, plain.weight, list(plain.parameters())) == ((2, 3), 0.5, None, [])
    assert repr(plain).startswith("RMSNorm((2, 3), eps=0.5, elementwise_affine=False")
    assert nn.RMSNorm(torch.Size([2, 3]), dtype=torch.float64).weight.shape == (2, 3)
    assert nn.RMSNorm(2, dtype=torch.float64).weight.dtype == torch.float64


@claim("rmsnorm-scale")
def test_scale(cell, rng):
    module = cell.place(nn.RMSNorm(8, eps=1e-30))
    values = rng.standard_normal((3, 8)) + 2
    outputs = [cell.run(module)(cell.tensor(factor * values)) for factor in (1.0, 4.0)]
    assert_same(outputs[1], outputs[0], what="output of four times the input")  # a power of two is exact
    assert_normalised(cell, outputs[0], cell.tensor(values), (8,), 1e-30)


@claim("rmsnorm-shape-refused")
@pytest.mark.parametrize(("shape", "size"), [((4,), (2, 3)), ((2, 3), (3,)), ((2, 3), (3, 2))])
def test_other_shape(cell, shape, size):
    module = cell.place(nn.RMSNorm(shape))
    refusal = r"Given normalized_shape=\[.*\], expected input with shape|Input tensor must have at least \d dimensions"
    with pytest.raises((RuntimeError, ValueError), match=refusal):
        module(cell.tensor(np.ones(size)))


@claim("rmsnorm-empty-batch")
@pytest.mark.parametrize("size", [(0, 3), (2, 0, 3)])
def test_empty_batch(cell, size):
    x = cell.tensor(np.zeros(size), requires_grad=True)
    output = cell.place(nn.RMSNorm(3))(x)
    assert output.shape == size
    output.sum().backward()
    assert x.grad.shape == size
