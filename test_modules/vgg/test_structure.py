"""What the network consists of: printed, named, indexed and counted."""

import ast
import re
from pathlib import Path

import torch
from torch import nn

from models.vgg import CONFIGURATION, TUTORIAL_CONVOLUTIONS, TUTORIAL_RELUS, VGG
from torchclaims import claim

PRINTED = (Path(__file__).parent / "printed.txt").read_text().splitlines()
POSITIONAL = {
    nn.Conv2d: ["in_channels", "out_channels"],
    nn.BatchNorm2d: ["num_features"],
    nn.BatchNorm1d: ["num_features"],
}


def build():
    """The network without values; drawing some on the meta device imports half of PyTorch's compiler."""
    with torch.device("meta"):
        return VGG(init_weights=False)


def parts(line):
    """What precedes a printed layer's arguments, and the arguments."""
    head, arguments = re.fullmatch(r"(\s*\(\w+\): \w+|\s*VGG|\s*)\(?(.*?)\)?", line).groups()
    return head, re.split(r", (?![^(]*\))", arguments)


def keyword(argument):
    return argument.partition("=")[0]


@claim("vgg-printed-structure")
def test_printed():
    seen = repr(build()).splitlines()
    assert len(seen) == len(PRINTED)
    for seen_line, printed_line in zip(seen, PRINTED, strict=True):
        (head, arguments), (printed_head, printed_arguments) = parts(seen_line), parts(printed_line)
        assert head == printed_head
        assert [argument for argument in arguments if argument in printed_arguments] == printed_arguments, head
        added = {keyword(argument) for argument in arguments if argument not in printed_arguments}
        assert added <= {"bias"}, head
        assert not added or "BatchNorm" in head, head


@claim("vgg-printed-arguments")
def test_printed_arguments_are_the_attributes():
    net = build()
    for layer in (*net.features, *net.classifier):
        _, arguments = parts("(layer): " + repr(layer))
        names = POSITIONAL.get(type(layer), [])
        stated = dict(zip(names, arguments, strict=False))
        stated.update(argument.split("=") for argument in arguments[len(names) :])
        for name, value in stated.items():
            held = getattr(layer, name) is not None if name == "bias" else getattr(layer, name)
            assert held == ast.literal_eval(value), f"{name} of {layer}"


@claim("vgg-names")
def test_names_are_places_in_the_configuration():
    net = build()
    expected = []
    for place, width in enumerate(CONFIGURATION[:-1]):
        if width == "M":
            expected.append((f"pool{place}", nn.MaxPool2d))
        else:
            kinds = (("conv", nn.Conv2d), ("norm", nn.BatchNorm2d), ("relu", nn.ReLU))
            expected += [(f"{name}{place}", kind) for name, kind in kinds]
    assert [(name, type(layer)) for name, layer in net.features.named_children()] == expected
    assert [type(layer) for layer in net.features] == [kind for _, kind in expected]
    for index, (name, _) in enumerate(expected):
        assert net.features[index] is getattr(net.features, name), name
    assert [name.split(".")[1] for name in net.state_dict() if name.endswith("conv16.weight")] == ["conv16"]


@claim("vgg-weighted-layers")
def test_weighted_layers():
    weighted = [
        type(module)
        for module in build().modules()
        if any(parameter.dim() > 1 for parameter in module.parameters(recurse=False))
    ]
    assert weighted == [nn.Conv2d] * 13 + [nn.Linear] * 2


@claim("vgg-blocks")
def test_blocks():
    built = [
        f"conv{layer.kernel_size[0]}-{layer.out_channels}" if isinstance(layer, nn.Conv2d) else "maxpool"
        for layer in build().features
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d))
    ]
    blocks = [["conv3-64"] * 2, ["conv3-128"] * 2, ["conv3-256"] * 3, ["conv3-512"] * 3, ["conv3-512"] * 3]
    announced = [layer for block in blocks for layer in (*block, "maxpool")]
    assert built == announced[:-1]


@claim("vgg-configuration")
def test_last_width_is_the_classifiers():
    net = build()
    counted = [layer for layer in net.features if isinstance(layer, (nn.Conv2d, nn.MaxPool2d))]
    assert len(counted) == len(CONFIGURATION[:-1]) == 17
    widths = [width for width in CONFIGURATION if width != "M"]
    convolutions = [layer for layer in counted if isinstance(layer, nn.Conv2d)]
    assert [layer.in_channels for layer in convolutions] == [3, *widths[:-2]]
    assert [layer.out_channels for layer in convolutions] == widths[:-1]
    assert net.classifier.linear1.weight.shape == (widths[-1], widths[-2])


def places(kind):
    return [index for index, layer in enumerate(build().features) if isinstance(layer, kind)]


@claim("vgg-relu-table")
def test_relu_table():
    relus = places(nn.ReLU)
    assert relus == [2, 5, 9, 12, 16, 19, 22, 26, 29, 32, 36, 39, 42]
    assert [index for index in TUTORIAL_RELUS if index not in relus] == places(nn.MaxPool2d) == [6, 13, 23, 33]
    features = build().features
    assert all(isinstance(features[index], nn.ReLU) for index in relus)


@claim("vgg-convolution-table")
def test_convolution_table():
    convolutions = places(nn.Conv2d)
    assert convolutions == [*TUTORIAL_CONVOLUTIONS, 40]
    features = build().features
    assert features[40] is features.conv16
    assert features[-3] is features.conv16


@claim("vgg-classifier")
def test_classifier():
    classifier = build().classifier
    layers = {name: type(layer) for name, layer in classifier.named_children()}
    assert layers == {"linear1": nn.Linear, "norm1": nn.BatchNorm1d, "relu1": nn.ReLU, "linear2": nn.Linear}
    assert list(layers) == ["linear1", "norm1", "relu1", "linear2"]
    classifier.eval()
    shapes = [torch.empty(2, 512, device="meta")]
    for layer in classifier:
        shapes.append(layer(shapes[-1]))
    assert [tuple(x.shape) for x in shapes] == [(2, 512), (2, 512), (2, 512), (2, 512), (2, 10)]


@claim("vgg-parameter-count")
def test_parameters():
    net = build()
    assert sum(parameter.numel() for parameter in net.parameters()) == 14_991_946
    # Each width has a bias, a weight and a bias of the normalisation; buffers are no parameters.
    widths = [width for width in CONFIGURATION if width != "M"]
    fans = [9 * width for width in (3, *widths[:-2])] + [widths[-2]]
    layers = sum((fan + 3) * width for fan, width in zip(fans, widths, strict=True))
    assert layers + (widths[-1] + 1) * 10 == 14_991_946


@claim("vgg-equal-names")
def test_equal_names():
    net = build()
    modules = dict(net.named_modules())
    assert net.features.norm1 is not net.classifier.norm1
    assert modules.get("features.norm1") is net.features.norm1
    assert modules.get("classifier.norm1") is net.classifier.norm1
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items() if "norm1.w" in key}
    assert shapes == {"features.norm1.weight": (64,), "classifier.norm1.weight": (512,)}
