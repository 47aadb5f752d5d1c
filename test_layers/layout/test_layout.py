"""Layers on tensors that lie in memory in different ways, beside plain copies; other rooms judge values.

Numbers are small and whole, weights too, so that all sums are exact in every dtype and in any order.
"""

import math

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.targets import RELEASE, to_numpy
from torchclaims.tolerance import assert_within, gamma, rounding_unit

SHAPE = (2, 4, 6, 9)


def transposed(x):
    return x.transpose(2, 3).contiguous().transpose(2, 3)


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last)


def batch_last(x):
    return x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)


def every_second_column(x):
    wide = x.new_full((*x.shape[:-1], 2 * x.shape[-1]), float("nan"))
    wide[..., ::2] = x
    return wide[..., ::2]


def middle_of_a_storage(x):
    around = x.new_full([size + 2 for size in x.shape], float("nan"))
    around[1:-1, 1:-1, 1:-1, 1:-1] = x
    return around[1:-1, 1:-1, 1:-1, 1:-1]


def expanded_channels(x):
    return x[:, :1].clone().expand(x.shape)


def expanded_columns(x):
    return x[..., :1].clone().expand(x.shape)


LAYOUTS = (
    transposed,
    channels_last,
    batch_last,
    every_second_column,
    middle_of_a_storage,
    expanded_channels,
    expanded_columns,
)

# A layer, and how many roundings its values and gradients, of size 4 at most, may see on the way.
LAYERS = {
    "Conv2d": (lambda: nn.Conv2d(4, 4, (3, 2), (1, 2), (1, 0), groups=2), 0),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 4, (2, 3), (2, 1), (1, 0), groups=2), 0),
    "Linear": (lambda: nn.Linear(9, 5), 0),
    "MaxPool2d": (lambda: nn.MaxPool2d((2, 3), (1, 2)), 0),
    "AvgPool2d": (lambda: nn.AvgPool2d((2, 4), (1, 2)), 0),
    "ReLU": (nn.ReLU, 0),
    "LeakyReLU": (lambda: nn.LeakyReLU(0.25), 0),
    "Flatten": (nn.Flatten, 0),
    "Unflatten": (lambda: nn.Unflatten(3, (3, 3)), 0),
    "ZeroPad2d": (lambda: nn.ZeroPad2d((1, 2, 0, -3)), 0),
    "Upsample": (lambda: nn.Upsample(scale_factor=(2, 1)), 0),
    "UpsamplingBilinear2d": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), 40),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), 0),
    "Unfold": (lambda: nn.Unfold((2, 3), stride=2), 0),
    "Sigmoid": (nn.Sigmoid, 12),
    "Softmax": (lambda: nn.Softmax(1), 30),
}
if RELEASE.release >= (2, 6):  # before, some had no gradient, or no half precision
    LAYERS |= {
        "ReflectionPad2d": (lambda: nn.ReflectionPad2d((1, 2, 0, 3)), 0),
        "ReplicationPad2d": (lambda: nn.ReplicationPad2d((1, 2, 0, 3)), 0),
        "CircularPad2d": (lambda: nn.CircularPad2d((1, 2, 0, 3)), 0),
        "ChannelShuffle": (lambda: nn.ChannelShuffle(2), 0),
    }
layers = pytest.mark.parametrize(("make", "count"), LAYERS.values(), ids=LAYERS)


def whole_numbers(rng, shape):
    return rng.integers(-2, 3, size=shape).astype(float)


def placed(cell, rng, make):
    layer = cell.place(make())
    for parameter in layer.parameters():
        parameter.data.copy_(cell.tensor(whole_numbers(rng, tuple(parameter.shape))))
    return layer


def run(cell, layer, x, grad):
    """The output, and the gradients of input and parameters."""
    x = x.detach().requires_grad_()
    out = cell.run(layer)(x)
    return [out.detach(), *torch.autograd.grad(out, [x, *layer.parameters()], grad)]


def check(cell, seen, plain, count, layout):
    # Half-precision kernels round at most a few intermediate results to the cell's dtype.
    working = min(rounding_unit(cell.dtype), rounding_unit(torch.float32))
    bound = 4 * (gamma(2 * count, working) + gamma(min(count, 8), rounding_unit(cell.dtype)))
    for ours, theirs, what in zip(seen, plain, ["output", "gradient of x", "of weight", "of bias"], strict=False):
        assert_within(
            ours,
            to_numpy(theirs),
            bound,
            what=f"{what}, {layout}",
            because=f"{count} roundings on either side",
        )


@claim("layout-of-inputs")
@layers
def test_input(cell, rng, make, count):
    layer = placed(cell, rng, make)
    for layout in LAYOUTS:
        x = layout(cell.tensor(whole_numbers(rng, SHAPE)))
        grad = cell.tensor(whole_numbers(rng, tuple(layer(x).shape)))
        plain = run(cell, layer, x.clone(memory_format=torch.contiguous_format), grad)
        check(cell, run(cell, layer, x, grad), plain, count, layout.__name__)


WEIGHTS = {
    "transposed": lambda weight: weight.transpose(0, 1).contiguous().transpose(0, 1),
    "reversed": lambda weight: (
        weight.permute(*reversed(range(weight.dim()))).contiguous().permute(*reversed(range(weight.dim())))
    ),
    "sliced": lambda weight: torch.cat([weight, weight], -1)[..., : weight.shape[-1]],
    "offset": lambda weight: torch.cat([weight[:1], weight])[1:],
}


@claim("layout-of-weights")
@pytest.mark.parametrize("name", ["Conv2d", "Linear"])
def test_weight(cell, rng, name):
    make, count = LAYERS[name]
    layer, x = placed(cell, rng, make), cell.tensor(whole_numbers(rng, SHAPE))
    grad = cell.tensor(whole_numbers(rng, tuple(layer(x).shape)))
    plain, weight = run(cell, layer, x, grad), layer.weight.detach()
    for layout, lay_out in WEIGHTS.items():
        layer.weight = nn.Parameter(lay_out(weight))
        check(cell, run(cell, layer, x, grad), plain, count, f"{layout} weight")


@claim("layout-of-gradients")
@layers
def test_gradient_of_the_output(cell, rng, make, count):
    layer, x = placed(cell, rng, make), cell.tensor(whole_numbers(rng, SHAPE))
    shape = tuple(layer(x).shape)
    grads = {
        "transposed": cell.tensor(whole_numbers(rng, shape[::-1])).permute(*reversed(range(len(shape)))),
        "expanded": cell.tensor([2.0]).expand(shape),
        "strided": cell.tensor(whole_numbers(rng, (*shape[:-1], 3 * shape[-1])))[..., 1::3],
    }
    for name, grad in grads.items():
        plain = run(cell, layer, x, grad.clone(memory_format=torch.contiguous_format))
        check(cell, run(cell, layer, x, grad), plain, count, f"{name} gradient")


NORMALISATIONS = {
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4), (2, 4, 3, 5)),
    "BatchNorm2d, one column": (lambda: nn.BatchNorm2d(4), (2, 4, 3, 1)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4), (2, 4, 3, 5)),
    "InstanceNorm2d, one sample": (lambda: nn.InstanceNorm2d(4), (1, 4, 3, 3)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (2, 4, 3, 5)),
}


@claim("layout-of-normalised-gradients")
@pytest.mark.parametrize(("make", "shape"), NORMALISATIONS.values(), ids=NORMALISATIONS)
@pytest.mark.parametrize("layout", [channels_last, lambda x: channels_last(x.transpose(2, 3)).transpose(2, 3)],
                         ids=["channels last", "turned"])  # fmt: skip
def test_gradient_of_a_normalisation(cell, make, shape, layout):
    count = math.prod(shape)
    x = cell.tensor((np.arange(count) * 5 % 7 + np.arange(count) % 3.0).reshape(shape))
    grad = cell.tensor((np.arange(count) * 11 % 13 - 6.0).reshape(shape))
    layer = cell.place(make())
    plain, seen = run(cell, layer, x, grad)[1], run(cell, layer, x, layout(grad))[1]
    bound = gamma(40 * count, rounding_unit(cell.dtype)) * 40
    assert_within(seen, to_numpy(plain), bound, what="gradient of x", because="sums in another order")
