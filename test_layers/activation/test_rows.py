"""Activations along a dimension: LogSoftmax, Softmin, Softmax2d, GLU, PReLU; and RReLU's random slopes."""

import numpy as np
import pytest
import torch
from torch import nn

from test_layers.activation.test_softmax import CASES, relative_error, working_unit
from torchclaims import claim
from torchclaims.chance import assert_follows, assert_uncorrelated, uniform
from torchclaims.reference import activation
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, gamma, rounding_unit, roundings, sum_bound


@claim("log-softmax-formula")
@pytest.mark.parametrize(("shape", "dim"), CASES, ids=str)
def test_log_softmax(cell, rng, shape, dim):
    x, grad = cell.tensor(rng.normal(size=shape) * 2, requires_grad=True), cell.tensor(rng.normal(size=shape))
    out = cell.run(nn.LogSoftmax(dim))(x)
    values, weights = to_numpy(x), to_numpy(grad)
    expected = activation.log_softmax(values, dim)
    # x - max, a sum of exponentials and its logarithm may be rounded to the cell's dtype.
    shifted = values - values.max(dim, keepdims=True) if values.size else values
    terms = np.abs(shifted) + np.abs(expected - shifted)
    bound = (relative_error(cell, values, dim) + gamma(4, working_unit(cell))) * (1 + terms)
    bound = bound + roundings(cell, 2, 1 + terms) + roundings(cell, 1, expected)
    because = "a sum of exponentials, its logarithm, and two differences"
    assert_within(out, expected, bound, what="log_softmax(x)", because=because)
    out.backward(grad)
    shares = activation.softmax(values, dim)
    wanted = activation.log_softmax_backward(weights, values, dim)
    total = abs(weights).sum(dim, keepdims=True) if values.size else 0
    # exp of the rounded output is a share with the output's absolute error as its relative one.
    off = bound + gamma(shape[dim] + 6, working_unit(cell))
    bound = off * shares * total + gamma(3, working_unit(cell)) * np.abs(weights) + roundings(cell, 2, wanted)
    assert_within(x.grad, wanted, bound, what="gradient", because="g - s times the sum of g, from the rounded output")


@claim("log-softmax-formula")
def test_log_softmax_far_apart(cell):
    # The logarithm of a softmax that underflowed would be minus infinity.
    x = cell.tensor([[0.0, -2048.0, -8192.0], [8192.0, 8192.0, -np.inf]])
    seen = cell.run(nn.LogSoftmax(1))(x)
    expected = np.array([[0.0, -2048.0, -8192.0], [-np.log(2), -np.log(2), -np.inf]])
    assert_within(seen, expected, roundings(cell, 2, np.array(1.0)), what="log_softmax(x)", because="log 2 is rounded")


@claim("log-softmax-below-zero")
@pytest.mark.parametrize("row", [[3.0], [100.0, 0.0]], ids=["one number", "one far above"])
def test_log_softmax_is_negative(cell, row):
    seen = to_numpy(cell.run(nn.LogSoftmax(0))(cell.tensor(row)))
    assert (seen < 0).all(), f"expected values in [-inf, 0), seen {seen.max()}"


@claim("softmin-formula")
@pytest.mark.parametrize(("shape", "dim"), CASES[::2], ids=str)
def test_softmin(cell, rng, shape, dim):
    x, grad = cell.tensor(rng.normal(size=shape) * 2, requires_grad=True), cell.tensor(rng.normal(size=shape))
    out = cell.run(nn.Softmin(dim))(x)
    values, weights = -to_numpy(x), to_numpy(grad)
    shares = activation.softmax(values, dim)
    once = relative_error(cell, values, dim)
    because = "exponentials, a sum, a division"
    assert_within(out, shares, once * shares + roundings(cell, 3, shares), what="softmin(x)", because=because)
    out.backward(grad)
    expected = -activation.softmax_backward(weights, values, dim)
    magnitude = shares * (abs(weights) + (abs(weights) * shares).sum(dim, keepdims=True))
    bound = (2 * once + 2 * gamma(3, rounding_unit(cell.dtype)) + gamma(shape[dim] + 4, working_unit(cell))) * magnitude
    # Small outputs lose digits to underflow, whatever their size, and are multiplied by gradients of size one.
    lost = roundings(cell, 3, np.zeros(())) * (2 * abs(weights) + 1) * (1 + abs(weights).sum(dim, keepdims=True))
    assert_within(x.grad, expected, bound + lost + roundings(cell, 1, expected), what="gradient", because=because)


@claim("softmax-2d")
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 4, 5), (1, 17, 2, 1), (0, 3, 2, 2)], ids=str)
def test_softmax_of_features(cell, rng, shape):
    x = cell.tensor(rng.normal(size=shape) * 2)
    expected = activation.softmax(to_numpy(x), -3)
    bound = relative_error(cell, to_numpy(x), -3) * expected + roundings(cell, 3, expected)
    seen = cell.run(nn.Softmax2d())(x)
    assert_within(seen, expected, bound, what="Softmax2d(x)", because="exponentials, a sum, a division")


@claim("softmax-2d")
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4, 5, 6)], ids=str)
def test_softmax2d_refuses(cell, shape):
    with pytest.raises((ValueError, AssertionError), match="3D or 4D"):
        nn.Softmax2d()(torch.ones(shape, device=cell.device.name, dtype=cell.dtype))


@claim("softmax-sparse")
def test_softmax_of_a_sparse_tensor(cell):
    x = torch.tensor([[0.0, 2.0, 0.0], [1.0, 1.0, 0.0]], dtype=cell.dtype, device=cell.device.name).to_sparse()
    try:
        seen = nn.Softmax(1)(x).to_dense()
    except NotImplementedError as error:
        raise AssertionError(f"Softmax refuses a sparse tensor: {str(error).splitlines()[0]}") from None
    assert_same(seen, cell.tensor([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]), what="softmax of what is specified")


IMPLICIT = {"Softmax": nn.Softmax, "Softmin": nn.Softmin, "LogSoftmax": nn.LogSoftmax}


@claim("softmax-implicit-dim")
@pytest.mark.parametrize("kind", IMPLICIT.values(), ids=IMPLICIT)
@pytest.mark.parametrize("dims", [1, 2, 3, 4])
def test_implicit_dim_of_all(cell, rng, kind, dims):
    x = cell.tensor(rng.normal(size=(2, 3, 2, 3)[:dims]))
    name = {"Softmax": "softmax", "Softmin": "softmin", "LogSoftmax": "log_softmax"}[kind.__name__]
    for layer in (kind(), getattr(nn.functional, name)):
        with pytest.warns(UserWarning, match=f"Implicit dimension choice for {name}") as caught:
            out = layer(x)
        assert len(caught) == 1
        assert_same(out, kind(0 if dims in (1, 3) else 1)(x), what=f"{name}(x)")


GLU = [
    ((2, 6), -1),
    ((2, 6), 1),
    ((4, 3), 0),
    ((2, 4, 5), 1),
    ((2, 3, 34), 2),
    ((2,), 0),
    ((0, 4), 1),
    ((3, 8, 2, 2), -3),
]


@claim("glu-formula")
@pytest.mark.parametrize(("shape", "dim"), GLU, ids=str)
def test_glu(cell, rng, shape, dim):
    x = cell.tensor(rng.normal(size=shape) * 3, requires_grad=True)
    expected = activation.glu(to_numpy(x), dim)
    grad = cell.tensor(rng.normal(size=expected.shape))
    out = cell.run(nn.GLU(dim))(x)
    unit = working_unit(cell)
    bound = gamma(8, unit) * np.abs(expected) + roundings(cell, 2, expected)
    assert_within(out, expected, bound, what="glu(x)", because="a sigmoid, rounded, and a product")
    out.backward(grad)
    wanted = activation.glu_backward(to_numpy(grad), to_numpy(x), dim)
    first, second = np.split(to_numpy(x), 2, dim)
    weights = np.abs(to_numpy(grad))
    # sigma (1 - sigma): the difference has an absolute error.
    size = np.concatenate([weights, weights * np.abs(first) * activation.sigmoid(second)], dim)
    bound = gamma(10, unit) * size + roundings(cell, 4, size)
    assert_within(x.grad, wanted, bound, what="gradient", because="a sigmoid and products, each rounded")


@claim("glu-formula")
def test_glu_splits_the_last_dimension_by_default(cell):
    x = cell.tensor([[3.0, 5.0, 0.0, 100.0], [-2.0, 1.0, -2048.0, 0.0]])
    assert_same(cell.run(nn.GLU())(x), cell.tensor([[1.5, 5.0], [0.0, 0.5]]), what="glu(x)")


PRELU = [
    ((3, 4), 1),
    ((3, 4), 4),
    ((2, 3, 5), 3),
    ((2, 17, 2, 2), 17),
    ((2, 3, 2, 2, 2), 3),
    ((9,), 1),
    ((), 1),
    ((0, 3), 3),
]


@claim("prelu-formula")
@pytest.mark.parametrize(("shape", "count"), PRELU, ids=str)
def test_prelu(cell, rng, shape, count):
    layer = cell.place(nn.PReLU(count, init=0.375))
    assert_same(layer.weight.detach(), cell.tensor(np.full(count, 0.375)), what="initial weight")
    with torch.no_grad():
        layer.weight.copy_(cell.tensor(np.resize(rng.permutation([-0.5, 0.125, 0.75, 2.0]), count)))
    x, grad = cell.tensor(np.array(rng.normal(size=shape)), requires_grad=True), cell.tensor(rng.normal(size=shape))
    out = cell.run(layer)(x)
    values, weight, weights = to_numpy(x), to_numpy(layer.weight), to_numpy(grad)
    expected = activation.prelu(values, weight)
    assert_within(out, expected, roundings(cell, 1, expected), what="prelu(x)", because="a product, rounded")
    out.backward(grad)
    of_x, of_weight = activation.prelu_backward(weights, values, weight)
    assert_within(x.grad, of_x, roundings(cell, 1, of_x), what="gradient", because="a product, rounded")
    _, magnitude = activation.prelu_backward(abs(weights), abs(values) * np.where(values < 0, -1, 1), weight)
    terms = max(1, values.size)
    # The products may be rounded before they are summed.
    bound = sum_bound(cell, terms, abs(magnitude), of_weight) + roundings(cell, 1, abs(magnitude))
    bound = bound + terms * roundings(cell, 1, np.zeros(()))
    assert_within(layer.weight.grad, of_weight, bound, what="gradient of the weight", because="a sum of products")


@claim("prelu-defaults")
def test_prelu_defaults(cell):
    layer = nn.PReLU()
    assert {name: tuple(value.shape) for name, value in layer.named_parameters()} == {"weight": (1,)}
    assert layer.weight.item() == 0.25
    assert layer.weight.requires_grad
    assert layer.num_parameters == 1
    assert tuple(nn.PReLU(5).weight.shape) == (5,)
    typed = nn.PReLU(2, init=0.5, device=cell.device.name, dtype=torch.float64)
    assert_same(typed.weight.detach(), cell.tensor([0.5, 0.5], dtype=torch.float64), what="weight with a dtype")
    with torch.no_grad():
        typed.weight.fill_(3.0)
    if hasattr(typed, "reset_parameters"):
        typed.reset_parameters()
        assert_same(typed.weight.detach(), cell.tensor([0.5, 0.5], dtype=torch.float64), what="weight after a reset")


MISMATCHED = [((2, 3), 2), ((3,), 3), ((), 2), ((2, 4, 3), 3), ((2, 3, 4), 2)]


@claim("prelu-channels")
@pytest.mark.parametrize(("shape", "count"), MISMATCHED, ids=str)
def test_prelu_refuses(cell, shape, count):
    layer = cell.place(nn.PReLU(count))
    channels = shape[1] if len(shape) > 1 else 1
    with pytest.raises(RuntimeError, match=f"parameter numbers = {count} and channel size = {channels}|zero-dim"):
        layer(torch.ones(shape, device=cell.device.name, dtype=cell.dtype))


@claim("rrelu-training")
@pytest.mark.parametrize(("lower", "upper"), [(None, None), (0.25, 0.75)], ids=["default", "given"])
def test_slopes_are_uniform(cell, lower, upper):
    layer = cell.run(nn.RReLU() if lower is None else nn.RReLU(lower, upper))
    lower, upper = (1 / 8, 1 / 3) if lower is None else (lower, upper)
    x = cell.tensor(np.full(20000, -1.0))
    assert_follows(lambda: -layer(x), uniform(lower, upper), what="slope of RReLU in training")
    once, again = (to_numpy(layer(x)) for _ in range(2))
    assert_uncorrelated(once, again, what="slopes of two calls")
    assert_uncorrelated(once[:-1], once[1:], what="slopes of neighbours")


@claim("rrelu-training")
def test_slopes_are_also_the_gradient(cell, rng):
    x = cell.tensor(rng.normal(size=(3, 37)), requires_grad=True)
    out = cell.run(nn.RReLU())(x)
    out.sum().backward()
    values = to_numpy(x)
    slopes = to_numpy(x.grad)
    assert_within(x.grad, np.where(values > 0, 1.0, slopes), 0, what="gradient where x > 0", because="it is 1")
    below = slopes[values < 0]
    assert ((below >= 1 / 8) & (below <= 1 / 3 + 1e-6)).all()
    expected = values * slopes
    assert_within(out, expected, roundings(cell, 1, expected), what="rrelu(x)", because="a slope times x, rounded")
    y = cell.tensor(values)
    inplace = cell.run(nn.RReLU(inplace=True))
    assert inplace(y) is y
    ratio = to_numpy(y)[values < 0] / values[values < 0]
    assert ((ratio > 1 / 8 - 1e-6) & (ratio < 1 / 3 + 1e-6)).all()
    kept = np.where(values > 0, values, to_numpy(y))
    assert_within(y, kept, 0, what="what is positive, in place", because="it stays")
