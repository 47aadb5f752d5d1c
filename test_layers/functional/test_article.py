"""The article's two stems: as they are printed, and mended."""

import numpy as np
import pytest
import torch
from torch import nn

from models.alexnet_stem import FunctionalStem, ModuleStem
from torchclaims import claim
from torchclaims.tolerance import assert_same

PRINTED = """
class AlexNet_1(nn.Module):
    def __init__(self, num_classes=n):
        super(AlexNet, self).__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=3, stride=2, padding=1),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        x = self.features(x)
"""


@claim("func-article-code-runs")
def test_definition_stops_at_the_default():
    with pytest.raises(NameError, match="'n'"):
        exec(PRINTED, {"nn": nn})


@claim("func-article-code-runs")
def test_construction_stops_at_super():
    names = {"nn": nn, "n": 10}
    exec(PRINTED, names)
    with pytest.raises(NameError, match="'AlexNet'"):
        names["AlexNet_1"]()


@claim("func-article-code-runs")
def test_a_call_returns_nothing(cell, rng):
    names = {"nn": nn, "n": 10}
    exec(PRINTED.replace("super(AlexNet, ", "super(AlexNet_1, "), names)
    stem = cell.place(names["AlexNet_1"]())
    assert stem(cell.tensor(rng.normal(size=(2, 3, 4, 4)))) is None


@claim("func-stems-agree")
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_values_gradients_and_statistics(cell, rng, training):
    stems = [cell.place(kind(width=4)).train(training) for kind in (ModuleStem, FunctionalStem)]
    stems[1].load_state_dict(stems[0].state_dict())
    values, outs, states = rng.normal(size=(2, 3, 7, 6)), [], []
    grad = cell.tensor(rng.normal(size=(2, 4, 4, 3)))
    for stem in stems:
        x = cell.tensor(values, requires_grad=True)
        out = cell.run(stem)(x)
        out.backward(grad)
        outs.append(out.detach())
        states.append({**stem.state_dict(), "x": x.grad, **{name: p.grad for name, p in stem.named_parameters()}})
    assert 0 < int((outs[0] == 0).sum()) < outs[0].numel(), "nothing was cut off, or all"
    assert (outs[0] >= 0).all()
    assert_same(outs[1], outs[0], what="outputs")
    assert_same(states[1], states[0], what="gradients and buffers")


@claim("func-stems-agree")
def test_parameters_have_the_same_names():
    module, function = ModuleStem(4), FunctionalStem(4)
    assert list(module.state_dict()) == list(function.state_dict())
    assert len(list(module.modules())) == len(list(function.modules())) + 1
    for stem, other in ((module, function), (function, module)):
        assert not any(stem.load_state_dict(other.state_dict()))


@claim("func-module-needs-no-container")
def test_relu_on_its_own(cell, rng):
    class OnTheSpot(nn.Module):
        def forward(self, x):
            return nn.ReLU()(x)

    values = rng.normal(size=(3, 5))
    x = cell.tensor(values)
    expected = cell.tensor(np.maximum(values, 0))
    for use in (nn.ReLU(), OnTheSpot(), nn.Sequential(nn.ReLU())):
        assert_same(cell.run(use)(x), expected, what=f"relu by {use}")


@claim("func-function-is-no-layer")
@pytest.mark.parametrize("function", [nn.functional.relu, torch.relu, torch.nn.functional.avg_pool2d, len])
def test_function_in_a_container(function):
    with pytest.raises(TypeError, match="is not a Module subclass"):
        nn.Sequential(nn.Conv2d(1, 1, 1, device="meta"), function)
    layers = nn.Sequential(nn.Identity())
    with pytest.raises(TypeError, match="is not a Module subclass"):
        layers.append(function)
    assert [type(layer) for layer in layers] == [nn.Identity]
