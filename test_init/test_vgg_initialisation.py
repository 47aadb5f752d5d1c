"""The initialisation that the VGG tutorial writes by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from models.vgg import VGG, initialise
from torchclaims import claim
from torchclaims.chance import assert_follows, normal
from torchclaims.tolerance import assert_same

# 160 * 16 * 9 weights in the last convolution, 128 * 160 in the first linear layer.
NARROW = (16, "M", 160, 128)


def narrow(cell):
    return cell.place(VGG(configuration=NARROW, init_weights=False))


def redraw(net, module):
    """Draws the network's initial values again, and returns those of one module's weight."""
    initialise(net)
    return module.weight


@claim("init-vgg-conv")
def test_convolution(cell):
    net = narrow(cell)
    n = 3 * 3 * 160
    assert_follows(lambda: redraw(net, net.features.conv2), normal(0, math.sqrt(2 / n)), what="conv weight")


@claim("init-vgg-conv-kaiming")
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolution_is_kaiming(cell, groups):
    # With 160 channels sqrt(2 / n) is sqrt(2) / sqrt(n); with 64 they differ in the last bit of a float64.
    conv = cell.place(nn.Conv2d(8, 160, 3, groups=groups))
    other = torch.empty_like(conv.weight)
    torch.manual_seed(1)
    initialise(conv)
    torch.manual_seed(1)
    nn.init.kaiming_normal_(other, mode="fan_out", nonlinearity="relu")
    assert_same(conv.weight.data, other.data, what="the loop's weight beside kaiming_normal_")


@claim("init-vgg-conv-bias", "init-vgg-linear-bias")
def test_biases(cell):
    net = narrow(cell)
    initialise(net)
    for layer in (net.features.conv0, net.features.conv2, net.classifier.linear1, net.classifier.linear2):
        assert_same(layer.bias.data, torch.zeros_like(layer.bias.data), what=f"bias of {layer}")


@claim("init-vgg-batchnorm")
def test_batch_norm(cell):
    net = narrow(cell)
    nn.init.constant_(net.features.norm2.bias, 9)
    initialise(net)
    assert_same(net.features.norm2.weight.data, cell.tensor(np.full(160, 0.5)), what="weight")
    assert_same(net.features.norm2.bias.data, cell.tensor(np.zeros(160)), what="bias")


@claim("init-vgg-batchnorm1d")
def test_batch_norm_1d(cell):
    net = narrow(cell)
    initialise(net)
    assert not isinstance(net.classifier.norm1, nn.BatchNorm2d)
    assert_same(net.classifier.norm1.weight.data, cell.tensor(np.ones(128)), what="weight")
    assert_same(net.classifier.norm1.bias.data, cell.tensor(np.zeros(128)), what="bias")


@claim("init-vgg-linear")
def test_linear(cell):
    net = narrow(cell)
    assert_follows(lambda: redraw(net, net.classifier.linear1), normal(0, 0.01), what="linear weight")


@claim("init-leaf-error")
@pytest.mark.parametrize(
    ("method", "arguments"),
    [("normal_", (0, 0.01)), ("fill_", (0.5,)), ("zero_", ())],
    ids=["normal", "fill", "zero"],
)
def test_recorded_in_place_is_refused(cell, method, arguments):
    weight = cell.place(nn.Linear(3, 4)).weight
    before = weight.detach().clone()
    with pytest.raises(RuntimeError, match=r"leaf Variable that requires grad .* in-place"):
        getattr(weight, method)(*arguments)
    assert_same(weight.detach(), before, what="the weight")


@claim("init-no-grad-suffices")
def test_no_grad_suffices(cell):
    by_data, by_no_grad = (cell.place(nn.Linear(30, 40)).weight for _ in range(2))
    torch.manual_seed(1)
    by_data.data.normal_(0, 0.01)
    torch.manual_seed(1)
    with torch.no_grad():
        by_no_grad.normal_(0, 0.01)
    assert_same(by_no_grad.detach(), by_data.detach(), what="the weight drawn under no_grad")
    assert by_no_grad.is_leaf
    assert by_no_grad.requires_grad
    assert by_no_grad.grad_fn is None


@claim("init-data-version")
def test_data_hides_from_the_version_counter(cell):
    weight = cell.place(nn.Linear(3, 4)).weight
    before = weight._version
    weight.data.normal_(0, 0.01)
    assert weight._version == before
    with torch.no_grad():
        weight.normal_(0, 0.01)
    assert weight._version == before + 1


@claim("init-data-wrong-gradient")
def test_data_changes_a_gradient_silently(cell):
    weight = cell.tensor([2.0, 3.0], requires_grad=True)
    loss = (weight * weight).sum()
    weight.data.fill_(0.5)
    loss.backward()
    assert_same(
        weight.grad,
        cell.tensor([1.0, 1.0]),
        what="2 * weight, of the values filled in after the forward pass",
    )
    loss = (weight * weight).sum()
    with torch.no_grad():
        weight.fill_(3)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
