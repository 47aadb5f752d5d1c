"""What layers hold when they are made."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.chance import assert_follows, uniform
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, rounding_unit

# Kernels, channels and groups are unequal, so that no factor of the bound can be taken for another.
CONVOLUTIONS = [
    pytest.param("Conv1d", (6, 6000, (2,)), {"groups": 3}, id="Conv1d"),
    pytest.param("Conv2d", (3, 3000, (1, 3)), {}, id="Conv2d"),
    pytest.param("Conv2d", (4, 3000, (3, 1)), {"groups": 4}, id="Conv2d-depthwise"),
    pytest.param("Conv3d", (4, 3000, (1, 2, 2)), {"groups": 2}, id="Conv3d"),
]
PARAMETERS = [pytest.param("weight", id="weight"), pytest.param("bias", id="bias")]


def make(cell, name, *arguments, **options):
    return getattr(nn, name)(*arguments, **options, device=cell.device.name, dtype=cell.dtype)


def assert_symmetric_uniform(cell, draw, bound, *, what):
    """Asserts that ``draw()`` is uniform between -bound and bound, and never beyond."""
    assert_follows(draw, uniform(-bound, bound), what=what)
    largest = np.abs(to_numpy(draw())).max()
    assert largest <= bound * (1 + 2 * rounding_unit(cell.dtype)), f"{what}: {largest} is beyond {bound}"


@claim("init-conv-weight")
@pytest.mark.parametrize(("name", "sizes", "options"), CONVOLUTIONS)
def test_convolution_weight(cell, name, sizes, options):
    fan = sizes[0] * math.prod(sizes[2]) / options.get("groups", 1)
    assert_symmetric_uniform(
        cell, lambda: make(cell, name, *sizes, **options).weight, 1 / math.sqrt(fan), what=f"weight of {name}"
    )


@claim("init-conv-bias")
@pytest.mark.parametrize(("name", "sizes", "options"), CONVOLUTIONS)
def test_convolution_bias(cell, name, sizes, options):
    fan = sizes[0] * math.prod(sizes[2]) / options.get("groups", 1)
    assert_symmetric_uniform(
        cell, lambda: make(cell, name, *sizes, **options).bias, 1 / math.sqrt(fan), what=f"bias of {name}"
    )


@claim("init-linear-default")
@pytest.mark.parametrize("parameter", PARAMETERS)
def test_linear(cell, parameter):
    assert_symmetric_uniform(
        cell,
        lambda: getattr(make(cell, "Linear", 5, 4000), parameter),
        5**-0.5,
        what=f"{parameter} of Linear",
    )


@claim("init-batchnorm-default")
@pytest.mark.parametrize("name", ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"])
@pytest.mark.parametrize("again", [False, True], ids=["made", "reset"])
def test_batch_norm(cell, name, again):
    norm = make(cell, name, 7)
    if again:
        with torch.no_grad():
            for tensor in norm.state_dict().values():
                tensor.fill_(9)
        norm.reset_parameters()
    zeros, ones = cell.tensor(np.zeros(7)), cell.tensor(np.ones(7))
    expected = {"weight": ones, "bias": zeros, "running_mean": zeros, "running_var": ones}
    for key, value in expected.items():
        assert_same(norm.state_dict()[key], value, what=f"{key} of {name}")
    assert norm.num_batches_tracked.item() == 0


@claim("init-seed")
def test_seed(cell):
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append([make(cell, "Conv2d", 2, 3, 3).state_dict(), make(cell, "Linear", 3, 4).state_dict()])
    for first, second, other in zip(*states, strict=True):
        for key, value in first.items():
            assert_same(second[key], value, what=f"{key} under the same seed")
            assert not torch.equal(other[key], value), f"{key} is the same under another seed"


@claim("init-skip")
def test_skip_init_draws_nothing(cell):
    torch.manual_seed(1)
    expected = torch.rand(8, device=cell.device.name)
    torch.manual_seed(1)
    linear = nn.utils.skip_init(nn.Linear, 30, 40, device=cell.device.name, dtype=cell.dtype)
    assert_same(torch.rand(8, device=cell.device.name), expected, what="the next draw")
    assert (type(linear), linear.weight.shape, linear.bias.shape) == (nn.Linear, (40, 30), (40,))
    assert all(parameter.requires_grad and parameter.dtype == cell.dtype for parameter in linear.parameters())
