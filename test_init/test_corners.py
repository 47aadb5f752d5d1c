"""Initialisation at the edges: strides, dtypes, generators, old names, tensors without elements."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from test_init.test_contract import FUNCTIONS
from torchclaims import claim
from torchclaims.chance import assert_follows, normal, truncated_normal, uniform
from torchclaims.targets import from_numpy, to_numpy
from torchclaims.tolerance import assert_same, assert_within, gamma, rounding_unit


def blank(cell, *shape):
    return cell.tensor(np.full(shape, 9.0))


@claim("init-gain-identity")
def test_gain_of_the_identity():
    assert nn.init.calculate_gain("identity") == 1


@claim("init-gain")
def test_gain_of_an_integer_slope():
    assert nn.init.calculate_gain("leaky_relu", 1) == 1.0


@claim("init-sparse-notation")
def test_sparse_by_default(cell):
    def draw():
        weight = nn.init.sparse_(blank(cell, 200, 50), 0.1)
        return weight[weight != 0]

    assert_follows(draw, normal(0, math.sqrt(0.01)), what="what sparse_ leaves")


@claim("init-dirac-even")
@pytest.mark.parametrize(("dimensions", "kernel"), [(1, 2), (1, 4), (2, (2, 3)), (2, (3, 4)), (3, (1, 2, 1))], ids=str)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_even_kernels(cell, rng, dimensions, kernel):
    conv = cell.place((nn.Conv1d, nn.Conv2d, nn.Conv3d)[dimensions - 1](2, 2, kernel, padding="same", bias=False))
    nn.init.dirac_(conv.weight)
    x = cell.tensor(rng.integers(1, 9, (1, 2, *(5,) * dimensions)))
    seen, expected = to_numpy(conv(x)), to_numpy(x)
    shifts = [
        shift
        for axis in range(2, 2 + dimensions)
        for shift in (-1, 1)
        if (np.roll(expected, shift, axis) == seen).sum() >= 0.8 * seen.size
    ]
    assert (seen == expected).all(), f"the input is shifted by {shifts}"


@claim("init-orthogonal-strided")
@pytest.mark.parametrize("layout", ["channels_last", "slice", "permuted"])
def test_orthogonal_of_any_strides(cell, layout):
    weight = {
        "channels_last": lambda: blank(cell, 4, 3, 2, 2).contiguous(memory_format=torch.channels_last),
        "slice": lambda: blank(cell, 4, 3, 2, 4)[..., ::2],
        "permuted": lambda: blank(cell, 2, 3, 2, 4).permute(3, 1, 2, 0),
    }[layout]()
    assert nn.init.orthogonal_(weight, gain=2.0) is weight
    rows = to_numpy(weight).reshape(4, -1)
    bound = 4 * gamma(10 * rows.size, rounding_unit(cell.dtype))
    assert_within(from_numpy(rows @ rows.T), 4 * np.eye(4), bound, what="products of the rows", because="a QR")


@claim("init-orthogonal-empty")
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 0, 3)], ids=str)
def test_orthogonal_of_nothing(cell, shape):
    tensor = torch.empty(shape, dtype=cell.dtype, device=cell.device.name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nn.init.orthogonal_(tensor) is tensor


# 0.999 and 1.005 round to 1 in bfloat16, 0.99991 to 1 in float16.
@claim("init-trunc-normal-rounded-bounds")
@pytest.mark.parametrize(("a", "b"), [(-2, 0.999), (-0.999, 2), (-2, 0.99991), (-0.99991, 2)], ids=str)
def test_bounds_between_two_numbers(cell, a, b):
    # So many that some, nearly 30 in float16, are expected between the bound and what it is rounded to.
    values = to_numpy(nn.init.trunc_normal_(blank(cell, 500, 400), a=a, b=b))
    seen = values.min(), values.max()
    # A bound that float32 or float64 rounds is off by less than any draw resolves.
    slack = 2.0**-24 if cell.dtype in (torch.float32, torch.float64) else 0.0
    assert a - slack <= seen[0], f"expected no number below {a}, seen {seen[0]}"
    assert seen[1] <= b + slack, f"expected no number above {b}, seen {seen[1]}"


@claim("init-trunc-normal-far")
@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0, 1, 1.5, 3), (0, 1, -3, -1.9), (0.5, 2, 0.4, 0.6), (1, 0.5, -1, 0.25), (-1, 2, -0.5, 0.25)],
    ids=str,
)
def test_what_is_left_of_the_bell(cell, mean, std, a, b):
    def draw():
        return nn.init.trunc_normal_(blank(cell, 100, 200), mean, std, a, b)

    assert_follows(draw, truncated_normal(mean, std, a, b), what="trunc_normal_")
    values = to_numpy(draw())
    slack = 4 * rounding_unit(cell.dtype)
    assert a - slack <= values.min()
    assert values.max() <= b + slack


DRAWN = [row for row in FUNCTIONS if row.id not in ("constant_", "ones_", "zeros_", "eye_", "dirac_")]
TAIL = pytest.param("trunc_normal_", (3, 4), {"a": 1.5, "b": 3.0}, id="trunc_normal_, tail")
MANY = pytest.param("trunc_normal_", (30, 40), {}, id="trunc_normal_, many")  # some of which are outside at first


def from_one_seed(cell, name, shape, options):
    generator = torch.Generator(cell.device.name).manual_seed(7)
    return getattr(nn.init, name)(blank(cell, *shape), **options, generator=generator), generator


@claim("init-generator")
@pytest.mark.parametrize(("name", "shape", "options"), [*[row for row in DRAWN if row.id != "sparse_"], TAIL, MANY])
def test_a_generator_of_ones_own(cell, name, shape, options):
    torch.manual_seed(1)
    following = torch.rand(4, device=cell.device.name)
    torch.manual_seed(1)
    first, generator = from_one_seed(cell, name, shape, options)
    assert_same(torch.rand(4, device=cell.device.name), following, what="the default generator's next numbers")
    second, _ = from_one_seed(cell, name, shape, options)
    assert_same(second, first, what="numbers of the same state")
    third = getattr(nn.init, name)(blank(cell, *shape), **options, generator=generator)
    assert not torch.equal(third, first)


@claim("init-generator-sparse")
def test_sparse_from_a_generator(cell):
    options = {"sparsity": 0.5}
    (first, _), (second, _) = (from_one_seed(cell, "sparse_", (16, 16), options) for _ in range(2))
    differ = int(((first == 0) != (second == 0)).sum())
    assert differ == 0, f"from the same state {'some' if differ else 'no'} zeros lie elsewhere"


OLD = "uniform normal constant eye dirac xavier_uniform xavier_normal kaiming_uniform kaiming_normal orthogonal sparse"


@claim("init-deprecated")
@pytest.mark.parametrize("name", OLD.split())
def test_old_names(cell, name):
    (row,) = [row for row in FUNCTIONS if row.id == f"{name}_"]
    _, shape, options = row.values
    torch.manual_seed(1)
    expected = getattr(nn.init, f"{name}_")(blank(cell, *shape), **options)
    torch.manual_seed(1)
    tensor = blank(cell, *shape)
    with pytest.warns(
        (FutureWarning, UserWarning), match=rf"nn.init.{name}`? is now deprecated in favor of `?nn.init.{name}_"
    ):
        assert getattr(nn.init, name)(tensor, **options) is tensor
    assert_same(tensor, expected, what=name)
    assert name in getattr(nn.init, "__all__", [name])


@claim("init-no-elements")
@pytest.mark.parametrize("name", ["uniform_", "normal_", "trunc_normal_", "ones_", "zeros_", "xavier_normal_", "eye_"])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0)], ids=str)
def test_nothing_to_fill(name, shape):
    tensor = torch.empty(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert getattr(nn.init, name)(tensor) is tensor
    assert tensor.shape == shape


@claim("init-zero-elements")
@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
@pytest.mark.parametrize("shape", [(3, 0), (0,), (2, 3, 0)], ids=str)
def test_kaiming_of_nothing(name, shape):
    tensor = torch.empty(shape)
    with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
        assert getattr(nn.init, name)(tensor) is tensor


@claim("init-transposed")
@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
def test_a_weight_that_is_multiplied_from_the_right(cell, name):
    def draw():
        weight = blank(cell, 5, 4000)
        getattr(nn.init, name)(weight.T, nonlinearity="relu")
        return weight

    std = math.sqrt(2 / 5)
    expected = normal(0, std) if name == "kaiming_normal_" else uniform(-math.sqrt(3) * std, math.sqrt(3) * std)
    assert_follows(draw, expected, what=f"{name} of the transpose")


@claim("init-eye-identity")
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 3), (5, 3), (3, 5)])
def test_eye_in_a_linear_layer(cell, rng, inputs, outputs):
    linear = cell.place(nn.Linear(inputs, outputs, bias=False))
    assert nn.init.eye_(linear.weight) is linear.weight
    assert linear.weight.requires_grad
    x = cell.tensor(rng.integers(-8, 9, (4, inputs)))
    kept = min(inputs, outputs)
    expected = torch.zeros(4, outputs, dtype=cell.dtype, device=cell.device.name)
    expected[:, :kept] = x[:, :kept]
    assert_same(linear(x).detach(), expected, what="output")


class WithoutDevice(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))


@claim("init-skip-refuses")
@pytest.mark.parametrize(
    ("kind", "message"),
    [(WithoutDevice, "must support a 'device' arg"), (torch.Tensor, "Expected a Module; got <class 'torch.Tensor'>")],
    ids=["no-device", "no-module"],
)
def test_skip_init_refuses(kind, message):
    with pytest.raises(RuntimeError, match=message):
        nn.utils.skip_init(kind, 2)


@claim("init-gain-errors")
@pytest.mark.parametrize("slope", [[0.1], 1j, False], ids=str)
def test_slopes_that_are_no_numbers(slope):
    with pytest.raises(ValueError, match="not a valid number"):
        nn.init.calculate_gain("leaky_relu", slope)


# The functions of torch.nn.init that look for an override pass the tensor and every option on.
OVERRIDABLE = {
    "uniform_": {"a": -1.0, "b": 2.0},
    "normal_": {"mean": 1.0, "std": 2.0},
    "constant_": {"val": 3.0},
    "kaiming_uniform_": {"a": 0.1, "mode": "fan_out", "nonlinearity": "relu"},
}


@claim("init-in-place")
@pytest.mark.parametrize("name", OVERRIDABLE)
def test_a_class_of_ones_own_may_stand_in(name):
    calls = []

    class Recorder(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            calls.append((function.__name__, {key: value for key, value in (kwargs or {}).items() if key != "tensor"}))
            return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]

    tensor = torch.ones(2, 3).as_subclass(Recorder)
    calls.clear()
    assert getattr(nn.init, name)(tensor, **OVERRIDABLE[name]) is tensor
    passed = [{key: options.get(key) for key in OVERRIDABLE[name]} for function, options in calls if function == name]
    assert passed == [OVERRIDABLE[name]]
