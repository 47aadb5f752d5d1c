"""Shapes on the way through the network, and which inputs it takes."""

import numpy as np
import pytest
import torch
from torch import nn

from models.vgg import CONFIGURATION, VGG
from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, sum_bound

# The tutorial's layers with four channels everywhere.
NARROW = tuple(width if width == "M" else 4 for width in CONFIGURATION)

TOO_SMALL, NO_PRODUCT = "Output size is too small", "mat1 and mat2 shapes cannot be multiplied"
ONE_VALUE = "Expected more than 1 value per channel when training"


def narrow(cell):
    return cell.place(VGG(configuration=NARROW))


def outcome(module, x):
    """The shape of what ``module`` makes of ``x``, or the error's message."""
    try:
        return tuple(module(x).shape)
    except (RuntimeError, ValueError) as error:
        return str(error)


@claim("vgg-features-shape", "vgg-average-shape", "vgg-view-shape")
def test_shapes_of_the_whole_network():
    with torch.device("meta"):
        net, x = VGG(init_weights=False).eval(), torch.empty(1, 3, 32, 32)
    assert outcome(net.features, x) == (1, 512, 2, 2)
    assert outcome(nn.AvgPool2d(2), torch.empty(1, 512, 2, 2, device="meta")) == (1, 512, 1, 1)
    assert tuple(torch.empty(1, 512, 1, 1, device="meta").view(1, -1).shape) == (1, 512)
    assert tuple(torch.empty(1, 512, 2, 2, device="meta").view(1, -1).shape) == (1, 2048)
    assert outcome(net, x) == (1, 10)


@claim("vgg-features-shape")
@pytest.mark.parametrize(
    ("size", "made"),
    [((32, 32), (2, 2)), ((47, 48), (2, 3)), ((63, 64), (3, 4)), ((16, 31), (1, 1))],
    ids=["32x32", "47x48", "63x64", "16x31"],
)
def test_features_halve_four_times(cell, size, made):
    x = torch.zeros(2, 3, *size, device=cell.device.name, dtype=cell.dtype)
    assert outcome(narrow(cell).features, x) == (2, 4, *made)


@claim("vgg-average-shape")
@pytest.mark.parametrize("size", [(2, 2), (3, 2), (3, 3)], ids=["2x2", "3x2", "3x3"])
def test_average_is_over_the_first_square(cell, rng, size):
    x = cell.tensor(rng.normal(size=(2, 5, *size)))
    square = to_numpy(x)[:, :, :2, :2]
    expected = square.mean((2, 3), keepdims=True)
    magnitude = np.abs(square).mean((2, 3), keepdims=True)
    average = nn.AvgPool2d(2)(x)
    assert_within(average, expected, sum_bound(cell, 4, magnitude, expected), what="average", because="4 terms")


@claim("vgg-view-shape")
def test_view_keeps_all_elements_in_order(cell, rng):
    x = cell.tensor(rng.normal(size=(2, 3, 2, 2)))
    flat = x.view(x.size(0), -1)
    assert_same(flat, cell.tensor(to_numpy(x).reshape(2, 12)), what="view(N, -1)")
    assert flat.data_ptr() == x.data_ptr()


@claim("vgg-classifier-is-linear")
def test_convolution_refuses_what_the_classifier_takes(cell, rng):
    x = cell.tensor(rng.normal(size=(2, 4)))
    net = narrow(cell)
    assert not [module for module in net.classifier.modules() if isinstance(module, nn.Conv2d)]
    assert outcome(net.classifier, x) == (2, 10)
    assert "Expected 3D (unbatched) or 4D (batched) input to conv2d" in outcome(net.features.conv1, x)


@claim("vgg-batch-of-one")
def test_batch_of_one(cell, rng):
    net = narrow(cell)
    one, two = (cell.tensor(rng.normal(size=(count, 3, 32, 32))) for count in (1, 2))
    before = {key: value.clone() for key, value in net.classifier.norm1.named_buffers() if "running" in key}
    message = outcome(net, one)
    assert ONE_VALUE in message
    assert "[1, 4]" in message, "it is not BatchNorm1d that refuses"
    for key, value in before.items():
        assert_same(getattr(net.classifier.norm1, key), value, what=key)
    assert outcome(net, two) == (2, 10)
    assert outcome(net.eval(), one) == (1, 10)


@claim("vgg-input-sizes")
@pytest.mark.parametrize("width", [32, 33, 47, 48, 62, 63])
def test_accepted(cell, width):
    net = narrow(cell).eval()
    for size in ((32, width), (width, 63)):
        x = torch.zeros(1, 3, *size, device=cell.device.name, dtype=cell.dtype)
        assert outcome(net, x) == (1, 10), f"size {size}"


@claim("vgg-input-sizes")
@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((15, 15), TOO_SMALL),
        ((16, 16), TOO_SMALL),
        ((31, 31), TOO_SMALL),
        ((31, 32), TOO_SMALL),
        ((63, 31), TOO_SMALL),
        ((63, 64), NO_PRODUCT),
        ((64, 32), NO_PRODUCT),
        ((64, 64), NO_PRODUCT),
    ],
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) else value.split()[0],
)
def test_refused(cell, size, message):
    net = narrow(cell).eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    x = torch.zeros(1, 3, *size, device=cell.device.name, dtype=cell.dtype)
    assert message in outcome(net, x)
    for key, value in net.state_dict().items():
        assert_same(value, before[key], what=key)
