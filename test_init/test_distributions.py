"""The functions of torch.nn.init that draw numbers."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.chance import assert_follows, assert_rate, normal, truncated_normal, uniform
from torchclaims.targets import from_numpy, to_numpy
from torchclaims.tolerance import assert_same, assert_within, gamma, rounding_unit

# Shapes of about 20,000 elements, named after the layer that holds such a weight, with (fan_in, fan_out).
LINEAR = (100, 200), (200, 100)
CONV1D = (150, 50, 3), (150, 450)
CONV2D = (60, 40, 3, 3), (360, 540)
CONV3D = (20, 30, 2, 3, 6), (1080, 720)

WEIGHTS = [
    pytest.param(*weight, id=name)
    for name, weight in {"linear": LINEAR, "conv1d": CONV1D, "conv2d": CONV2D, "conv3d": CONV3D}.items()
]

# Options, the weight, which fan (0: in, 1: out), and the gain's square. `a` counts with leaky_relu only.
KAIMING = [
    pytest.param({}, LINEAR, 0, 2, id="default"),
    pytest.param({"mode": "fan_out"}, CONV2D, 1, 2, id="fan_out"),
    pytest.param({"a": 1.0}, CONV1D, 0, 1, id="slope-1"),
    pytest.param({"nonlinearity": "relu", "a": 1.0}, CONV2D, 0, 2, id="relu"),
    pytest.param({"mode": "fan_out", "nonlinearity": "tanh"}, CONV3D, 1, 25 / 9, id="fan_out-tanh"),
]


def fill(name, tensor, **options):
    """What ``torch.nn.init`` makes of a tensor; looked up at each call."""
    return getattr(nn.init, name)(tensor, **options)


def blank(cell, *shape):
    return cell.tensor(np.full(shape, 9.0))


def uniform_within(bound):
    return uniform(-bound, bound)


@claim("init-uniform")
@pytest.mark.parametrize(("options", "low", "high"), [({}, 0, 1), ({"a": -3, "b": 1}, -3, 1)], ids=["default", "a-b"])
def test_uniform(cell, options, low, high):
    def draw():
        return fill("uniform_", blank(cell, 100, 200), **options)

    assert_follows(draw, uniform(low, high), what="uniform_")
    values = to_numpy(draw())
    assert low <= values.min()
    assert values.max() <= high


@claim("init-normal")
@pytest.mark.parametrize(
    ("options", "mean", "std"), [({}, 0, 1), ({"mean": 2, "std": 0.25}, 2, 0.25)], ids=["default", "mean-std"]
)
def test_normal(cell, options, mean, std):
    assert_follows(lambda: fill("normal_", blank(cell, 100, 200), **options), normal(mean, std), what="normal_")


@claim("init-uniform", "init-normal")
@pytest.mark.parametrize(
    ("name", "expected"), [("uniform_", uniform), ("normal_", normal)], ids=["uniform_", "normal_"]
)
def test_few_elements(cell, name, expected):
    # Fewer than sixteen elements are not drawn in vectors.
    assert_follows(lambda: torch.cat([fill(name, blank(cell, 15)) for _ in range(600)]), expected(0, 1), what=name)


@claim("init-xavier-uniform")
@pytest.mark.parametrize("gain", [1, 0.5])
@pytest.mark.parametrize(("shape", "fans"), WEIGHTS)
def test_xavier_uniform(cell, shape, fans, gain):
    bound = gain * math.sqrt(6 / sum(fans))
    assert_follows(
        lambda: fill("xavier_uniform_", blank(cell, *shape), gain=gain),
        uniform_within(bound),
        what="xavier_uniform_",
    )


@claim("init-xavier-normal")
@pytest.mark.parametrize("gain", [1, 0.5])
@pytest.mark.parametrize(("shape", "fans"), WEIGHTS)
def test_xavier_normal(cell, shape, fans, gain):
    std = gain * math.sqrt(2 / sum(fans))
    assert_follows(
        lambda: fill("xavier_normal_", blank(cell, *shape), gain=gain),
        normal(0, std),
        what="xavier_normal_",
    )


@claim("init-kaiming-uniform")
@pytest.mark.parametrize(("options", "weight", "fan", "squared_gain"), KAIMING)
def test_kaiming_uniform(cell, options, weight, fan, squared_gain):
    shape, fans = weight
    bound = math.sqrt(3 * squared_gain / fans[fan])
    assert_follows(
        lambda: fill("kaiming_uniform_", blank(cell, *shape), **options),
        uniform_within(bound),
        what="kaiming_uniform_",
    )


@claim("init-kaiming-normal")
@pytest.mark.parametrize(("options", "weight", "fan", "squared_gain"), KAIMING)
def test_kaiming_normal(cell, options, weight, fan, squared_gain):
    shape, fans = weight
    std = math.sqrt(squared_gain / fans[fan])
    assert_follows(
        lambda: fill("kaiming_normal_", blank(cell, *shape), **options),
        normal(0, std),
        what="kaiming_normal_",
    )


ORTHOGONAL = ["square", "wide", "tall", "row", "column", "conv"]


# Bounds that every dtype holds exactly. Releases draw in different ways where little of the bell is left.
@claim("init-trunc-normal")
@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0, 1, -2, 2), (0.5, 2, -1, 1.5), (0, 1, 1, 1.5), (0, 0.5, -2, 2)],
    ids=["default", "asymmetric", "tail", "far-bounds"],
)
def test_trunc_normal(cell, mean, std, a, b):
    def draw():
        return fill("trunc_normal_", blank(cell, 100, 200), mean=mean, std=std, a=a, b=b)

    expected = truncated_normal(mean, std, a, b)
    assert_follows(draw, expected, what="trunc_normal_")
    values = to_numpy(draw())
    assert a <= values.min()
    assert values.max() <= b


@claim("init-trunc-normal-default")
def test_trunc_normal_default(cell):
    assert_follows(
        lambda: fill("trunc_normal_", blank(cell, 100, 200)), truncated_normal(0, 1, -2, 2), what="trunc_normal_"
    )


@claim("init-trunc-normal-warns")
@pytest.mark.parametrize(
    ("mean", "std", "warns"),
    [(4.5, 1, True), (-4.5, 1, True), (3.5, 1, False), (3.25, 0.5, True), (-3.25, 0.5, True), (2.75, 0.5, False)],
    ids=["above", "below", "near", "above, narrow", "below, narrow", "near, narrow"],
)
def test_trunc_normal_warns(cell, mean, std, warns, recwarn):
    values = fill("trunc_normal_", blank(cell, 20), mean=mean, std=std)
    messages = [str(warning.message) for warning in recwarn if issubclass(warning.category, UserWarning)]
    assert any("more than 2 std from [a, b]" in message for message in messages) == warns
    assert to_numpy(values.abs()).max() <= 2


@claim("init-orthogonal")
@pytest.mark.parametrize("gain", [1, 1.5])
@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (9, 4), (1, 6), (6, 1), (3, 2, 2, 2)], ids=ORTHOGONAL)
def test_orthogonal(cell, shape, gain):
    weight = fill("orthogonal_", blank(cell, *shape), gain=gain)
    matrix = to_numpy(weight).reshape(shape[0], -1)
    shorter = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    # Householder's Q is orthogonal within gamma(c * m * n) (Higham, section 19.3), with c below ten.
    bound = gain**2 * gamma(10 * matrix.size, rounding_unit(cell.dtype))
    assert_within(
        from_numpy(shorter @ shorter.T),
        gain**2 * np.eye(len(shorter)),
        bound,
        what="the products of the rows, or of the columns where these are fewer",
        because="the rounding of a QR factorisation",
    )


@claim("init-orthogonal-fair")
@pytest.mark.parametrize("shape", [(3, 2), (2, 3)], ids=["tall", "wide"])
def test_orthogonal_signs(cell, shape):
    def draw():
        return torch.stack([fill("orthogonal_", blank(cell, *shape))[0, 0] > 0 for _ in range(60)])

    assert_rate(draw, 0.5, what="the first element is positive")


@claim("init-sparse")
@pytest.mark.parametrize(("sparsity", "zeros"), [(0.25, 13), (0.5, 25), (0.01, 1)])
def test_sparse_zeros(cell, sparsity, zeros):
    # One normal number of float32 in 10 ** 7 is 0 itself: of three weights one has none such.
    weights = [to_numpy(fill("sparse_", blank(cell, 50, 30), sparsity=sparsity)) for _ in range(3)]
    assert any(((values == 0).sum(0) == zeros).all() for values in weights)


@claim("init-sparse")
def test_sparse_places(cell):
    def row_is_zero(row):
        return lambda: fill("sparse_", blank(cell, 4, 200), sparsity=0.25)[row] == 0

    for row in range(4):
        assert_rate(row_is_zero(row), 0.25, what=f"row {row} is zero")


@claim("init-sparse")
@pytest.mark.parametrize("other", [1, 2], ids=["neighbours", "apart"])
def test_sparse_places_are_any_two(cell, other):
    def both_are_zero():
        weight = fill("sparse_", blank(cell, 4, 200), sparsity=0.5)
        return (weight[0] == 0) & (weight[other] == 0)

    assert_rate(both_are_zero, 1 / 6, what=f"rows 0 and {other} are both zero")


@claim("init-sparse")
def test_sparse_places_of_columns_are_independent(cell):
    def neighbours_have_the_same_place():
        row = (fill("sparse_", blank(cell, 4, 200), sparsity=0.25) == 0).int().argmax(0)
        return row[1:] == row[:-1]  # independent, as places are uniform

    assert_rate(neighbours_have_the_same_place, 1 / 4, what="a column's zero is in the row of its neighbour's")


@claim("init-sparse-std")
@pytest.mark.parametrize(("options", "std"), [({}, 0.01), ({"std": 0.5}, 0.5)], ids=["default", "std"])
def test_sparse_values(cell, options, std):
    def draw():
        weight = fill("sparse_", blank(cell, 200, 50), sparsity=0.1, **options)
        return weight[weight != 0]

    assert_follows(draw, normal(0, std), what="what sparse_ leaves")


@claim("init-mode-case")
@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
def test_mode_in_capitals(cell, name):
    weights = []
    for mode in ("fan_out", "FAN_OUT"):
        torch.manual_seed(1)
        weights.append(fill(name, blank(cell, 3, 5), mode=mode))
    assert_same(weights[1], weights[0], what="FAN_OUT beside fan_out")
