"""What the tutorial's own constructor does, and does not do."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from models.vgg import TUTORIAL_CONVOLUTIONS, VGG, TutorialVGG
from torchclaims import claim
from torchclaims.reference import normalisation
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, gamma, rounding_unit

SMALL = (2, "M", 3, 4)


def convolutions(net):
    return [module for module in net.modules() if isinstance(module, nn.Conv2d)]


@claim("vgg-table-attribute")
def test_table_is_kept_under_another_name():
    net = TutorialVGG(cfg=SMALL, compress_rate=[0, 0])
    assert net.covcfg is TUTORIAL_CONVOLUTIONS
    with pytest.raises(AttributeError, match="'TutorialVGG' object has no attribute 'convcfg'"):
        _ = net.convcfg


@claim("vgg-default-rates", "vgg-twelve-rates")
@pytest.mark.parametrize(
    ("rates", "error", "message"),
    [(None, TypeError, "not subscriptable"), (range(12), IndexError, "out of range")],
    ids=["none", "twelve"],
)
def test_a_rate_for_each_convolution(rates, error, message):
    with torch.device("meta"):
        with pytest.raises(error, match=message):
            TutorialVGG(init_weights=False, compress_rate=rates)
        net = TutorialVGG(init_weights=False, compress_rate=range(13))
    assert [conv.cp_rate for conv in convolutions(net)] == list(range(13))


@claim("vgg-rates-unused")
def test_rates_change_nothing(cell, rng):
    nets = [cell.place(TutorialVGG(cfg=SMALL, compress_rate=rates)).eval() for rates in ([0.0, 0.0], [0.5, 0.9])]
    for name, parameter in nets[0].named_parameters():
        if name.endswith("bias"):
            nn.init.ones_(parameter)  # so that no ReLU lets nothing through
    nets[1].load_state_dict(nets[0].state_dict())
    x = cell.tensor(rng.normal(size=(2, 3, 4, 4)))
    assert_same(nets[1](x), nets[0](x), what="scores with other compression rates")


@claim("vgg-rates-unused")
def test_rates_are_plain_attributes():
    net = TutorialVGG(cfg=SMALL, compress_rate=[0.5, 0.9])
    assert list(net.state_dict()) == list(VGG(configuration=SMALL).state_dict())
    assert sum(parameter.numel() for parameter in net.parameters()) == sum(
        parameter.numel() for parameter in VGG(configuration=SMALL).parameters()
    )
    assert [vars(conv).get("cp_rate") for conv in convolutions(copy.deepcopy(net))] == [0.5, 0.9]


@claim("vgg-batch-norm-flag")
def test_normalised_nevertheless(cell, rng):
    layers = cell.place(TutorialVGG(cfg=SMALL, compress_rate=[0, 0]).make_layers([3], False, [0]))
    assert [type(layer) for layer in layers] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    x = cell.tensor(rng.normal(size=(2, 3, 3, 2)))
    convolved = to_numpy(layers.conv0(x))
    expected = np.maximum(0, normalisation.batch_norm(convolved, 1e-5))
    statistics = normalisation.batch_statistics(convolved)
    # Mean and variance are sums over 12 values; the condition is that of the subtraction of the mean.
    scale = (np.abs(convolved) + np.abs(convolved).max()) / np.sqrt(statistics.biased_variance)[:, None, None]
    assert_within(
        layers(x),
        expected,
        gamma(4 * 12 + 10, rounding_unit(cell.dtype)) * scale,
        what="the layers built with batch_norm=False",
        because="two sums over 12 values",
    )


@claim("vgg-first-features")
def test_first_features_are_replaced():
    net = TutorialVGG(cfg=SMALL, compress_rate=[0, 0])
    assert [name for name, _ in net.named_children()] == ["features", "classifier"]
    assert [type(layer) for layer in net.features][:2] == [nn.Conv2d, nn.BatchNorm2d]
    assert [type(module) for module in net.modules()].count(nn.Sequential) == 2
    calls = []
    net.features.eval().register_forward_hook(lambda *_: calls.append("the first"))
    net.features = nn.Sequential()
    assert net.features.training
    assert (net.features(1), calls) == (1, []), "a hook of the first is gone with it"
    assert [name for name, _ in net.named_children()] == ["features", "classifier"]
    assert not [name for name in net.state_dict() if name.startswith("features")]


@claim("vgg-pool-in-forward")
def test_pool_leaves_no_trace(cell, rng):
    net = cell.place(VGG(configuration=SMALL)).eval()
    modules, keys = list(net.modules()), list(net.state_dict())
    x = cell.tensor(rng.normal(size=(2, 3, 4, 4)))
    assert_same(net(x), net(x), what="a second pass")
    assert len(list(net.modules())) == len(modules)
    assert all(after is before for after, before in zip(net.modules(), modules, strict=True))
    assert list(net.state_dict()) == keys


@claim("vgg-pool-in-forward")
def test_pool_has_neither_state_nor_mode(cell, rng):
    x = cell.tensor(rng.normal(size=(2, 3, 4, 4)))
    pools = [nn.AvgPool2d(2), nn.AvgPool2d(2).eval()]
    assert all(not pool.state_dict() and not list(pool.parameters()) for pool in pools)
    assert_same(pools[1](x), pools[0](x), what="an average in evaluation beside one in training")
