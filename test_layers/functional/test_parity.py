"""Modules beside the functions that their pages name; they share kernels, so no value is judged here."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import claim
from torchclaims.tolerance import assert_same

IMAGE, SERIES, VOLUME = (2, 4, 6, 8), (2, 4, 8), (1, 4, 4, 6, 5)

# (module, shape of its input, the function, given the module and the input)
PAIRS = {
    "Conv1d": (
        lambda: nn.Conv1d(4, 6, 3, 2, 1, groups=2),
        SERIES,
        lambda m, x: F.conv1d(x, m.weight, m.bias, 2, 1, 1, 2),
    ),
    "Conv2d": (
        lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2),
        IMAGE,
        lambda m, x: F.conv2d(x, m.weight, m.bias, (2, 1), (1, 0), (1, 2), 2),
    ),
    "Conv3d": (
        lambda: nn.Conv3d(4, 2, 2, (1, 2, 1)),
        VOLUME,
        lambda m, x: F.conv3d(x, m.weight, m.bias, (1, 2, 1)),
    ),
    "Linear": (lambda: nn.Linear(8, 3), IMAGE, lambda m, x: F.linear(x, m.weight, m.bias)),
    "MaxPool1d": (
        lambda: nn.MaxPool1d(3, 2, 1, ceil_mode=True),
        SERIES,
        lambda m, x: F.max_pool1d(x, 3, 2, 1, 1, True),
    ),
    "MaxPool2d": (
        lambda: nn.MaxPool2d((3, 2), (2, 3), (1, 0), (1, 2), ceil_mode=True),
        IMAGE,
        lambda m, x: F.max_pool2d(x, (3, 2), (2, 3), (1, 0), (1, 2), True),
    ),
    "AvgPool1d": (
        lambda: nn.AvgPool1d(3, 2, 1, False, False),
        SERIES,
        lambda m, x: F.avg_pool1d(x, 3, 2, 1, False, False),
    ),
    "AvgPool2d": (
        lambda: nn.AvgPool2d((3, 2), (2, 1), 1, True, False),
        IMAGE,
        lambda m, x: F.avg_pool2d(x, (3, 2), (2, 1), 1, True, False),
    ),
    "AdaptiveAvgPool2d": (
        lambda: nn.AdaptiveAvgPool2d((2, 3)),
        IMAGE,
        lambda m, x: F.adaptive_avg_pool2d(x, (2, 3)),
    ),
    "AdaptiveMaxPool2d": (
        lambda: nn.AdaptiveMaxPool2d((2, 3)),
        IMAGE,
        lambda m, x: F.adaptive_max_pool2d(x, (2, 3)),
    ),
    "BatchNorm2d": (
        lambda: nn.BatchNorm2d(4, eps=0.1),
        IMAGE,
        lambda m, x: F.batch_norm(x, None, None, m.weight, m.bias, training=True, eps=0.1),
    ),
    "LayerNorm": (
        lambda: nn.LayerNorm(8, eps=0.1),
        IMAGE,
        lambda m, x: F.layer_norm(x, (8,), m.weight, m.bias, 0.1),
    ),
    "GroupNorm": (
        lambda: nn.GroupNorm(2, 4, 0.1),
        IMAGE,
        lambda m, x: F.group_norm(x, 2, m.weight, m.bias, 0.1),
    ),
    "ReLU": (nn.ReLU, IMAGE, lambda m, x: F.relu(x)),
    "ReLU6": (nn.ReLU6, IMAGE, lambda m, x: F.relu6(x)),
    "LeakyReLU": (lambda: nn.LeakyReLU(0.3), IMAGE, lambda m, x: F.leaky_relu(x, 0.3)),
    "PReLU": (lambda: nn.PReLU(4, 0.3), IMAGE, lambda m, x: F.prelu(x, m.weight)),
    "ELU": (lambda: nn.ELU(0.7), IMAGE, lambda m, x: F.elu(x, 0.7)),
    "GELU": (lambda: nn.GELU("tanh"), IMAGE, lambda m, x: F.gelu(x, approximate="tanh")),
    "Hardtanh": (lambda: nn.Hardtanh(-0.5, 0.7), IMAGE, lambda m, x: F.hardtanh(x, -0.5, 0.7)),
    "Softplus": (lambda: nn.Softplus(2, 3), IMAGE, lambda m, x: F.softplus(x, 2, 3)),
    "Sigmoid": (nn.Sigmoid, IMAGE, lambda m, x: torch.sigmoid(x)),
    "Tanh": (nn.Tanh, IMAGE, lambda m, x: torch.tanh(x)),
    "Softmax": (lambda: nn.Softmax(1), IMAGE, lambda m, x: F.softmax(x, 1)),
    "LogSoftmax": (lambda: nn.LogSoftmax(-2), IMAGE, lambda m, x: F.log_softmax(x, -2)),
    "Flatten": (lambda: nn.Flatten(1, 2), IMAGE, lambda m, x: torch.flatten(x, 1, 2)),
    "ZeroPad2d": (lambda: nn.ZeroPad2d((1, 2, 0, 3)), IMAGE, lambda m, x: F.pad(x, (1, 2, 0, 3))),
    "Upsample": (
        lambda: nn.Upsample(scale_factor=2, mode="nearest"),
        IMAGE,
        lambda m, x: F.interpolate(x, scale_factor=2),
    ),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), IMAGE, lambda m, x: F.pixel_shuffle(x, 2)),
}
DRAWING = {
    "Dropout": (lambda: nn.Dropout(0.3), lambda x: F.dropout(x, 0.3)),
    "Dropout2d": (lambda: nn.Dropout2d(0.3), lambda x: F.dropout2d(x, 0.3)),
    "AlphaDropout": (lambda: nn.AlphaDropout(0.3), lambda x: F.alpha_dropout(x, 0.3, training=True)),
    "RReLU": (lambda: nn.RReLU(0.1, 0.3), lambda x: F.rrelu(x, 0.1, 0.3, training=True)),
}


@claim("func-parity")
@pytest.mark.parametrize(("make", "shape", "function"), PAIRS.values(), ids=PAIRS)
def test_pair(cell, rng, make, shape, function):
    module, x = cell.place(make()), cell.tensor(rng.normal(size=shape) * 2)
    assert_same(cell.run(module)(x), cell.run(function)(module, x), what="function and module")


@claim("func-parity")
@pytest.mark.parametrize(("make", "function"), DRAWING.values(), ids=DRAWING)
def test_pair_that_draws(cell, rng, make, function):
    # From one state of the generator both draw the same numbers.
    module, x = make(), cell.tensor(rng.normal(size=IMAGE))
    outs = []
    for draw in (module, function):
        torch.manual_seed(7)
        outs.append(cell.run(draw)(x))
    assert_same(outs[1], outs[0], what="function and module")
    assert not torch.equal(outs[0], x)
