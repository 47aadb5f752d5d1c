"""Layer normalisation, forward and backward, beside the formula; its options; what it refuses."""

import numpy as np
import pytest
import torch
from torch import nn

from test_norm.common import (
    BECAUSE,
    HALF,
    LAYOUTS,
    WIDTHS,
    backward_bound,
    in_float32,
    numbers,
    output_bound,
    statistics_unit,
    summed,
    unlike_scale,
    with_parameters,
)
from torchclaims import claim
from torchclaims.reference import normalisation
from torchclaims.targets import to_numpy
from torchclaims.tolerance import (
    accumulation_unit,
    assert_same,
    assert_within,
    gamma,
    rounding_unit,
    roundings,
)

CASES = {
    "a vector": ((7,), (7,)),
    "rows": ((5,), (3, 5)),
    "a sequence": ((6,), (2, 3, 6)),
    "two dimensions": ((3, 5), (4, 3, 5)),
    "an image": ((2, 3, 4), (3, 2, 3, 4)),
    "two of an image's": ((4, 5), (2, 3, 4, 5)),
    "all dimensions": ((2, 3), (2, 3)),
    "one column": ((4, 1), (2, 3, 4, 1)),
    "five dimensions": ((2, 3), (2, 1, 3, 2, 3)),
}
every_case = pytest.mark.parametrize(("shape", "size"), CASES.values(), ids=CASES)


def made(cell, rng, shape, **options):
    return with_parameters(cell, nn.LayerNorm(shape, **options), rng)


def axes_of(module):
    return tuple(range(-len(module.normalized_shape), 0))


def assert_normalised(cell, output, x, module, kept=0.0):
    values = to_numpy(x)
    weight, bias = numbers(module.weight, 1.0), numbers(module.bias, 0.0)
    expected = normalisation.standardise(values, axes_of(module), module.eps) * weight + bias
    bound = output_bound(cell, values, positive(axes_of(module), values), module.eps, weight, bias, kept)
    assert output.dtype == x.dtype
    assert_within(output, expected, bound, what="output", because=BECAUSE)


def positive(axes, x):
    return tuple(axis % x.ndim for axis in axes)


def rounded_statistics(cell):
    """Half precision inputs with parameters of their own dtype keep mean and 1/sqrt in it."""
    return rounding_unit(cell.dtype) if cell.dtype in HALF else 0.0


@claim("layer-formula")
@every_case
def test_output(cell, rng, shape, size):
    module = made(cell, rng, shape)
    x = cell.tensor(unlike_scale(rng, size, axis=0))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("layer-formula")
@pytest.mark.parametrize("width", WIDTHS)
def test_output_around_vector_widths(cell, rng, width):
    module = made(cell, rng, width, eps=0.01)
    x = cell.tensor(unlike_scale(rng, (3, width), axis=0))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("layer-formula")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_output_of_views(cell, rng, layout):
    module = made(cell, rng, (4, 5))
    x = LAYOUTS[layout](cell.tensor(unlike_scale(rng, (2, 3, 4, 5))))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("layer-mixed-dtype")
@every_case
def test_output_of_half_precision_with_parameters_in_float32(cell, rng, shape, size):
    module = in_float32(cell, made(cell, rng, shape))
    x = cell.tensor(unlike_scale(rng, size, axis=0))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("layer-conditioning")
@pytest.mark.parametrize("offset", [30.0, 1000.0])
@pytest.mark.parametrize("width", [3, 40, 515])
def test_output_far_from_zero(cell, rng, width, offset):
    module = made(cell, rng, width)
    x = cell.tensor(offset + rng.standard_normal((2, width)))
    assert_normalised(cell, cell.run(module)(x), x, module)


def assert_gradients(cell, x, grad, module):
    """``x`` and the module's parameters hold the formula's gradients, given the output's gradient ``grad``."""
    values, gradient = to_numpy(x), to_numpy(grad)
    axes = positive(axes_of(module), values)
    scaled = gradient * numbers(module.weight, 1.0)
    expected = normalisation.standardise_backward(scaled, values, axes, module.eps)
    bound = backward_bound(cell, values, axes, module.eps, scaled, gradient, statistics_unit(cell, module))
    because = "sums of n products, conditioned by |mean| / sqrt(variance + eps)"
    assert_within(x.grad, expected, bound.x + roundings(cell, 2, expected), what="input's gradient", because=because)
    if module.weight is None:
        return
    others = tuple(range(values.ndim - len(axes)))
    # CPUs add the rows of half precision one by one, each rounded; more than a few are another claim.
    rows = int(np.prod(values.shape[: len(others)])) + 2
    normalised = normalisation.standardise(values, axes, module.eps)
    grad_weight, bound_weight = summed(cell, gradient * normalised, others, bound.products, rows)
    assert_within(module.weight.grad, grad_weight, bound_weight, what="weight's gradient", because=because)
    if module.bias is not None:
        grad_bias, bound_bias = summed(cell, gradient, others, 0.0, rows)
        assert_within(module.bias.grad, grad_bias, bound_bias, what="bias' gradient", because=because)


@claim("layer-backward")
@every_case
@pytest.mark.parametrize("affine", [True, False])
def test_gradients(cell, rng, shape, size, affine):
    module = made(cell, rng, shape, elementwise_affine=affine)
    x = cell.tensor(unlike_scale(rng, size, axis=0), requires_grad=True)
    grad = cell.tensor(rng.standard_normal(size))
    cell.run(module)(x).backward(grad)
    assert_gradients(cell, x, grad, module)


@claim("layer-backward")
@pytest.mark.parametrize("width", WIDTHS)
def test_gradients_around_vector_widths(cell, rng, width):
    module = in_float32(cell, made(cell, rng, width, eps=0.01))
    x = cell.tensor(unlike_scale(rng, (3, width), axis=0), requires_grad=True)
    grad = cell.tensor(rng.standard_normal((3, width)))
    cell.run(module)(x).backward(grad)
    assert_gradients(cell, x, grad, module)


@claim("layer-backward")
@pytest.mark.parametrize("layout", [*LAYOUTS, "expanded"])
@pytest.mark.parametrize("batch", [1, 2])
def test_gradients_of_views(cell, rng, layout, batch):
    module = made(cell, rng, (3, 5))
    size = (batch, 2, 3, 5)
    x = LAYOUTS.get(layout, lambda x: x)(cell.tensor(unlike_scale(rng, size, axis=2))).detach().requires_grad_()
    grad = cell.tensor(rng.standard_normal(size))
    grad = grad[:, :1, :1, :1].expand(size) if layout == "expanded" else LAYOUTS[layout](grad)
    cell.run(module)(x).backward(grad)
    assert_gradients(cell, x, grad, module)


@claim("layer-backward-many-rows")
@pytest.mark.parametrize("parameters", ["float32", "the input's dtype"])
def test_gradients_of_many_rows(cell, parameters):
    module = cell.place(nn.LayerNorm(2, eps=1e-30))
    module = in_float32(cell, module) if parameters == "float32" else module
    rows = 4096
    x = cell.tensor(np.tile([-1.0, 1.0], (rows, 1)))
    cell.run(module)(x).backward(torch.ones_like(x))
    bound = rows * 8 * rounding_unit(cell.dtype)
    because = "sums in float32, rounded once"
    assert_within(module.bias.grad, [rows, rows], bound, what="bias' gradient", because=because)
    assert_within(module.weight.grad, [-rows, rows], bound, what="weight's gradient", because=because)


@claim("layer-affine-an-element")
@every_case
def test_parameters(cell, shape, size):
    module = cell.place(nn.LayerNorm(shape))
    assert {name: tuple(one.shape) for name, one in module.named_parameters()} == {"weight": shape, "bias": shape}
    assert_same(module.weight.detach(), torch.ones_like(module.weight), what="weight")
    assert_same(module.bias.detach(), torch.zeros_like(module.bias), what="bias")
    assert (module.eps, module.elementwise_affine) == (1e-5, True)
    with torch.no_grad():
        module.weight.fill_(5.0)
        module.bias.fill_(5.0)
    module.reset_parameters()
    assert_same(module.weight.detach(), torch.ones_like(module.weight), what="weight after a reset")
    assert_same(module.bias.detach(), torch.zeros_like(module.bias), what="bias after a reset")
    assert list(module.state_dict()) == ["weight", "bias"]
    assert nn.LayerNorm(2, dtype=torch.float64).bias.dtype == torch.float64


@claim("layer-affine-off")
@every_case
def test_affine_off(cell, rng, shape, size):
    module = cell.place(nn.LayerNorm(shape, elementwise_affine=False))
    assert (module.weight, module.bias, list(module.state_dict())) == (None, None, [])
    x = cell.tensor(unlike_scale(rng, size, axis=0))
    assert_normalised(cell, cell.run(module)(x), x, module, rounded_statistics(cell))


@claim("layer-bias-off")
@every_case
def test_bias_off(cell, rng, shape, size):
    module = made(cell, rng, shape, bias=False)
    assert [name for name, _ in module.named_parameters()] == ["weight"]
    assert module.bias is None
    assert list(nn.LayerNorm(shape, elementwise_affine=False, bias=True).parameters()) == []
    x = cell.tensor(unlike_scale(rng, size, axis=0), requires_grad=True)
    output = cell.run(module)(x)
    assert_normalised(cell, output, x, module)
    grad = cell.tensor(rng.standard_normal(size))
    output.backward(grad)
    assert_gradients(cell, x, grad, module)
    module.reset_parameters()
    assert_same(module.weight.detach(), torch.ones_like(module.weight), what="weight after a reset")


@claim("layer-shape-arguments")
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (4, (4,)),
        (np.int64(4), (4,)),
        ([3, 4], (3, 4)),
        ((4,), (4,)),
        (torch.Size([2, 3, 4]), (2, 3, 4)),
    ],
    ids=["number", "NumPy's number", "list", "tuple", "torch.Size"],
)
def test_shape_arguments(given, kept):
    module = nn.LayerNorm(given)
    assert type(module.normalized_shape) is tuple
    assert module.normalized_shape == kept
    assert tuple(module.weight.shape) == kept


@claim("layer-any-leading-dimensions")
@pytest.mark.parametrize("leading", [(), (1,), (3,), (2, 3), (2, 1, 3, 2)])
def test_leading_dimensions(cell, rng, leading):
    module = made(cell, rng, (2, 5))
    x = cell.tensor(unlike_scale(rng, (*leading, 2, 5), axis=-1))
    output = cell.run(module)(x)
    assert output.shape == x.shape
    last = cell.run(module)(x.reshape(-1, 2, 5)[-1])
    values = to_numpy(x).reshape(-1, 2, 5)[-1]
    bound = 2 * output_bound(cell, values, (0, 1), 1e-5, to_numpy(module.weight), to_numpy(module.bias))
    assert_within(output.reshape(-1, 2, 5)[-1], to_numpy(last), bound, what="the last position alone", because=BECAUSE)


@claim("layer-same-in-evaluation")
def test_evaluation(cell, rng):
    module = made(cell, rng, 6)
    x = cell.tensor(unlike_scale(rng, (3, 6), axis=0))
    trained = cell.run(module.train())(x)
    assert_normalised(cell, trained, x, module)
    assert_same(cell.run(module.eval())(x), trained, what="output in evaluation")
    assert list(module.buffers()) == []


@claim("layer-scale-and-shift-are-lost")
def test_scale_and_shift(cell, rng):
    # Whole numbers, so that scaling and shifting are exact.
    module = cell.place(nn.LayerNorm(8, eps=1e-30))
    values = rng.integers(-8, 9, (4, 8)) + np.eye(4, 8)
    other = 4 * values + 16
    outputs = [cell.run(module)(cell.tensor(one)) for one in (values, other)]
    bound = sum(output_bound(cell, one.astype(float), (1,), 1e-30) for one in (values, other))
    assert_within(outputs[1], to_numpy(outputs[0]), bound, what="output after scale and shift", because=BECAUSE)


@claim("layer-gradient-orthogonal")
def test_gradient_is_orthogonal(cell, rng):
    module = cell.place(nn.LayerNorm(9))
    x = cell.tensor(rng.standard_normal((4, 9)), requires_grad=True)
    grad = cell.tensor(rng.standard_normal((4, 9)))
    cell.run(module)(x).backward(grad)
    values, gradient = to_numpy(x), to_numpy(grad)
    inverse = 1 / np.sqrt(values.var(1) + 1e-5)
    normalised = normalisation.standardise(values, (1,), 1e-5)
    bound = backward_bound(cell, values, (1,), 1e-5, gradient, gradient).x + roundings(cell, 1, to_numpy(x.grad))
    seen = to_numpy(x.grad)
    zeros = np.zeros(4)
    because = "nine gradients, each with its bound"
    assert_within(cell.tensor(seen.sum(1)), zeros, bound.sum(1) * 2, what="sum of dx", because=because)
    rest = inverse * 1e-5 / (values.var(1) + 1e-5) * (gradient * normalised).sum(1)
    assert_within(
        cell.tensor((seen * normalised).sum(1)),
        rest,
        2 * (bound * np.abs(normalised)).sum(1) + gamma(9, accumulation_unit(cell)) * np.abs(seen).sum(1),
        what="sum of dx * xhat",
        because=because,
    )


@claim("layer-constant")
@pytest.mark.parametrize("value", [3.0, 0.1, 100.0, 0.0, -30000.0])
@pytest.mark.parametrize("width", [2, 7, 16, 33])
def test_constant(cell, rng, value, width):
    module = made(cell, rng, width)
    x = cell.tensor(np.full((2, width), value))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("layer-one-element")
@pytest.mark.parametrize("value", [3.0, 0.1, 1000.0])
@pytest.mark.parametrize("parameters", ["float32", "the input's dtype"])
def test_one_element(cell, rng, value, parameters):
    module = made(cell, rng, 1)
    module = in_float32(cell, module) if parameters == "float32" else module
    x = cell.tensor([[value], [-value]], requires_grad=True)
    grad = cell.tensor([[1.0], [3.0]])
    output = cell.run(module)(x)
    output.backward(grad)
    assert_normalised(cell, output, x, module)
    assert_gradients(cell, x, grad, module)


@claim("layer-shape-refused")
@pytest.mark.parametrize(
    ("shape", "size"), [((4,), (2, 3)), ((2, 3), (3,)), ((2, 3), (3, 2)), ((3,), (3, 1)), ((3,), ())]
)
def test_other_shape(cell, shape, size):
    module = cell.place(nn.LayerNorm(shape))
    text = ", ".join(map(str, shape))
    with pytest.raises(
        RuntimeError, match=rf"Given normalized_shape=\[{text}\], expected input with shape \[\*, {text}\]"
    ):
        module(cell.tensor(np.ones(size)))


@claim("layer-shape-refused")
def test_other_shape_of_parameters(cell):
    x, three, four = cell.tensor(np.ones((2, 3))), cell.tensor(np.ones(3)), cell.tensor(np.ones(4))
    for weight in (four, three[:1], three[None], three[0]):
        with pytest.raises(RuntimeError, match="Expected weight to be of same shape as normalized_shape"):
            nn.functional.layer_norm(x, (3,), weight, three)
    for bias in (four, three[:1], three[None], three[0]):
        with pytest.raises(RuntimeError, match="Expected bias to be of same shape as normalized_shape"):
            nn.functional.layer_norm(x, (3,), three, bias)
    with pytest.raises(RuntimeError, match="Expected weight to be of same shape as normalized_shape"):
        nn.functional.layer_norm(x, (2, 3), cell.tensor(np.ones(6)), cell.tensor(np.ones((2, 3))))
    with pytest.raises(RuntimeError, match="Expected normalized_shape to be at least 1-dimensional"):
        nn.functional.layer_norm(x, ())


@claim("layer-empty-batch")
@pytest.mark.parametrize("size", [(0, 3), (2, 0, 3), (0, 5, 3)])
def test_empty_batch(cell, size):
    module = cell.place(nn.LayerNorm(3))
    x = cell.tensor(np.zeros(size), requires_grad=True)
    output = cell.run(module)(x)
    assert output.shape == size
    output.sum().backward()
    assert x.grad.shape == size
    assert [one.grad.tolist() for one in module.parameters()] == [[0.0] * 3] * 2


@claim("layer-prints-arguments")
def test_printed_form():
    assert repr(nn.LayerNorm(4)).startswith("LayerNorm((4,), eps=1e-05, elementwise_affine=True")
    off = nn.LayerNorm([3, 4], eps=0.5, elementwise_affine=False)
    assert repr(off).startswith("LayerNorm((3, 4), eps=0.5, elementwise_affine=False")
    positional = nn.LayerNorm(4, 0.25, False)
    assert (positional.eps, positional.weight) == (0.25, None)


@claim("layer-functional-defaults")
@every_case
def test_functional(cell, rng, shape, size):
    x = cell.tensor(unlike_scale(rng, size, axis=0))
    output = cell.run(nn.functional.layer_norm)(x, shape)
    assert_normalised(cell, output, x, nn.LayerNorm(shape, elementwise_affine=False), rounded_statistics(cell))
