"""The four ways build one network, and each fails where the article calls what it did not register."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.four_ways import WAYS, AddModuleNet, AttributesNet, OrderedDictNet, SequentialNet
from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same

PRINTED = {
    AttributesNet: "conv1 Conv2d, dense1 Linear, dense2 Linear",
    SequentialNet: "conv Sequential, 0 Conv2d, 1 ReLU, 2 MaxPool2d, dense Sequential, 0 Linear, 1 ReLU, 2 Linear",
    AddModuleNet: "conv Sequential, conv1 Conv2d, relu1 ReLU, pool1 MaxPool2d, "
    "dense Sequential, dense1 Linear, relu2 ReLU, dense2 Linear",
    OrderedDictNet: "conv Sequential, conv1 Conv2d, relu1 ReLU, pool MaxPool2d, "
    "dense Sequential, dense1 Linear, relu2 ReLU, dense2 Linear",
}

every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def as_in_the_article(way):
    """``way`` with the article's ``forward``, which asks for a name that ``__init__`` did not use."""

    class Net(way):
        def forward(self, x):
            features = F.max_pool2d(F.relu(self.conv(x)), 2) if way is AttributesNet else self.conv1(x)
            return self.dense(features.view(features.size(0), -1))

    return Net


def images(cell, rng, size=6):
    """Random images, large enough that no layer is near zero."""
    return cell.tensor(rng.normal(0, 20, size=(2, 3, size, size)))


@claim("build-ways-agree")
def test_equal_outputs_from_equal_weights(cell, rng):
    networks = [cell.place(way()) for way in WAYS]
    x = images(cell, rng)
    grad = cell.tensor(rng.normal(size=(2, 10)))
    first = list(networks[0].parameters())
    assert sum(parameter.numel() for parameter in first) == 39_178
    with torch.no_grad():
        for network in networks[1:]:
            for mine, others in zip(network.parameters(), first, strict=True):
                mine.copy_(others)
    with torch.backends.cudnn.flags(deterministic=True):
        outputs = [cell.run(network)(x) for network in networks]
        for output in outputs:
            output.backward(grad)
    for network, output in zip(networks, outputs, strict=True):
        assert_same(output, outputs[0], what=f"output of {type(network).__name__}")
        for mine, others in zip(network.parameters(), first, strict=True):
            assert_same(mine.grad, others.grad, what=f"gradient in {type(network).__name__}")


@claim("build-same-initialisation")
def test_equal_weights_from_one_seed(cell):
    drawn = []
    for way in WAYS:
        torch.manual_seed(20)
        with torch.device(cell.device.name):
            network = way().to(cell.dtype)
        drawn.append([parameter.detach() for parameter in network.parameters()])
    for way, weights in zip(WAYS, drawn, strict=True):
        for seen, expected in zip(weights, drawn[0], strict=True):
            assert_same(seen, expected, what=f"weights of {way.__name__}")
    torch.manual_seed(20)
    layers = [nn.Conv2d(3, 32, 3, 1, 1), nn.Linear(32 * 3 * 3, 128), nn.Linear(128, 10)]
    if cell.device.is_cpu:
        for seen, layer in zip(drawn[0][::2], layers, strict=True):
            assert_same(seen, layer.weight.detach().to(cell.dtype), what=f"weight of {layer}, built alone")
    assert len({to_numpy(weight).sum() for weight in drawn[0]}) == 6


@claim("build-wrong-attribute-fails")
@every_way
def test_article_forward_fails_at_the_call(cell, rng, way):
    model = cell.place(as_in_the_article(way)())
    registered, missing = ("conv1", "conv") if way is AttributesNet else ("conv", "conv1")
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(AttributeError, match=rf"'Net'.* no attribute '{missing}'"):
        model(images(cell, rng))
    assert hasattr(model, registered)
    assert not hasattr(model, missing)
    assert list(model.state_dict()) == list(before)
    for name, entry in model.state_dict().items():
        assert_same(entry, before[name], what=name)


@claim("build-print-needs-no-forward")
@every_way
def test_print_shows_what_was_registered(way):
    class Broken(way):
        def forward(self, x):
            raise NotImplementedError

    for network in (way, as_in_the_article(way), Broken):
        lines = repr(network()).splitlines()
        assert lines[0] == f"{network.__name__}("
        children = [line.strip().partition("): ") for line in lines if line.strip().startswith("(")]
        seen = [f"{name[1:]} {described.partition('(')[0]}" for name, _, described in children]
        assert ", ".join(seen) == PRINTED[way]


@claim("build-functions-leave-no-trace")
@every_way
def test_functions_are_no_modules(cell, rng, way):
    model = cell.place(way())
    model(images(cell, rng))
    stateless = [type(one) for one in model.modules() if not list(one.parameters())]
    assert stateless == ([] if way is AttributesNet else [nn.ReLU, nn.MaxPool2d, nn.ReLU])
    shown = repr(model)
    assert [word in shown.lower() for word in ("relu", "pool")] == [way is not AttributesNet] * 2
    assert len(list(model.modules())) == (4 if way is AttributesNet else 9)


@claim("build-linear-fixes-size")
@every_way
@pytest.mark.parametrize("size", [3, 5, 8, 32])
def test_other_sizes_are_refused(cell, rng, way, size):
    model = cell.place(way())
    with pytest.raises(RuntimeError, match=f"shapes .*2x{32 * (size // 2) ** 2} and 288x128"):
        model(images(cell, rng, size))


@claim("build-linear-fixes-size")
@every_way
@pytest.mark.parametrize("size", [6, 7])
def test_sizes_that_fit(cell, rng, way, size):
    model = cell.place(way())
    assert model(images(cell, rng, size)).shape == (2, 10)


SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-30, -1e-30, 7.0])


@claim("build-functional-equal")
def test_relu(cell, rng):
    values = rng.normal(0, 5, size=(2, 3, 5, 7))
    values[0, 0, 0, :] = SPECIAL[:7]
    x = cell.tensor(values, requires_grad=True)
    module, function = cell.run(nn.ReLU())(x), cell.run(F.relu)(x)
    assert_same(module, function, what="nn.ReLU and F.relu")
    assert_same(module, cell.tensor(np.where(to_numpy(x) <= 0, 0, to_numpy(x))), what="max(0, x)")
    grad = cell.tensor(rng.normal(size=values.shape))
    gradients = [torch.autograd.grad(output, x, grad)[0] for output in (module, function)]
    assert_same(*gradients, what="gradients of nn.ReLU and F.relu")


@claim("build-functional-equal")
@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [((2,), {}), ((3, 2, 1), {}), (((2, 3), (1, 2)), {"ceil_mode": True}), ((2, 1, 0, 2), {})],
    ids=["article", "stride and padding", "rectangular, rounded up", "dilated"],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_max_pool2d(cell, rng, arguments, keywords, memory_format):
    values = rng.normal(0, 5, size=(2, 3, 7, 8))
    values[0, 0, 0, :] = SPECIAL
    x = cell.tensor(values).contiguous(memory_format=memory_format)
    module = cell.run(nn.MaxPool2d(*arguments, **keywords))(x)
    function = cell.run(lambda x: F.max_pool2d(x, *arguments, **keywords))(x)
    assert_same(module, function, what="nn.MaxPool2d and F.max_pool2d")
    assert torch.isnan(module).any()
