"""What nn.Module's constructor is needed for, and the two ways to call it."""

import numpy as np
import pytest
import torch
from torch import nn

from models.perceptron import Linear, Perceptron
from torchclaims import claim
from torchclaims.tolerance import assert_same


class Unconstructed(nn.Module):
    """Leaves out the constructor of nn.Module."""

    def __init__(self):
        pass

    def forward(self, x):
        return x


@claim("module-init-needed")
@pytest.mark.parametrize("kind", ["parameters", "module"])
def test_registration_needs_the_constructor(kind, cell):
    value = nn.Parameter(cell.tensor([1.0])) if kind == "parameters" else nn.Linear(1, 1)
    module = Unconstructed()
    with pytest.raises(AttributeError, match=rf"cannot assign {kind} before Module.__init__\(\) call"):
        module.value = value
    assert "value" not in vars(module)


@claim("module-init-needed")
def test_plain_attributes_do_not_need_it(cell):
    module, tensor = Unconstructed(), cell.tensor([1.0])
    module.number, module.tensor = 1, tensor
    assert list(vars(module)) == ["number", "tensor"]
    assert (module.number, module.tensor is tensor) == (1, True)


@claim("module-init-needed")
def test_a_call_needs_the_constructor(cell):
    module, x = Unconstructed(), cell.tensor([1.0])
    with pytest.raises(AttributeError, match="no attribute"):
        module(x)
    with pytest.raises(AttributeError, match="no attribute"):
        list(module.parameters())
    assert module.forward(x) is x


def layer_calling(constructor):
    class Layer(nn.Module):
        def __init__(self):
            constructor(Layer, self)
            self.w = nn.Parameter(torch.zeros(2, 3))
            self.child = nn.Linear(1, 1)
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            return x

    return Layer


FORMS = {
    "super": lambda cls, self: super(cls, self).__init__(),
    "explicit": lambda cls, self: nn.Module.__init__(self),
}


@claim("module-init-both-forms", "module-training-default")
@pytest.mark.parametrize("form", FORMS)
def test_both_forms(form):
    Layer = layer_calling(FORMS[form])
    first, second = Layer(), Layer()
    second.late = nn.Parameter(torch.zeros(1))
    for module, late in ((first, []), (second, ["late"])):
        assert [name for name, _ in module.named_parameters()] == ["w", *late, "child.weight", "child.bias"]
        assert [name for name, _ in module.named_buffers()] == ["seen"]
        assert module.training is True
        assert module("anything") == "anything"
    assert first.w is not second.w


@claim("module-training-default")
def test_training_at_every_level():
    net = nn.Sequential(Perceptron(3, 4, 1), nn.Dropout(), nn.BatchNorm1d(1))
    assert [module.training for module in net.modules()] == [True] * 6


class Mixin:
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.mixed_in = True


@claim("module-init-cooperative")
@pytest.mark.parametrize(("form", "reached"), [("super", True), ("explicit", False)])
def test_mixin_before_module(form, reached):
    class Layer(Mixin, nn.Module):
        def __init__(self):
            FORMS[form](Layer, self)
            self.w = nn.Parameter(torch.zeros(1))

    layer = Layer()
    assert hasattr(layer, "mixed_in") is reached
    assert len(list(layer.parameters())) == 1


@claim("module-init-cooperative")
@pytest.mark.parametrize("form", FORMS)
def test_mixin_after_module(form):
    class Layer(nn.Module, Mixin):
        def __init__(self):
            FORMS[form](Layer, self)

    assert not hasattr(Layer(), "mixed_in")


class Duck:
    """The layer of the article without nn.Module."""

    def __init__(self, w, b):
        self.w, self.b = nn.Parameter(w), nn.Parameter(b)

    def __call__(self, x):
        return x.mm(self.w) + self.b


@claim("module-must-inherit")
def test_a_plain_class_computes_the_same(cell, rng):
    layer = cell.place(Linear(4, 3))
    duck = Duck(layer.w.detach().clone(), layer.b.detach().clone())
    x, upstream = cell.tensor(rng.normal(size=(2, 4))), cell.tensor(rng.normal(size=(2, 3)))
    outputs = [layer(x), duck(x)]
    assert_same(outputs[1], outputs[0], what="output")
    for output in outputs:
        output.backward(upstream)
    for name in ("w", "b"):
        assert np.any(getattr(duck, name).grad.tolist())
        assert_same(getattr(duck, name).grad, getattr(layer, name).grad, what=f"gradient of {name}")


@claim("module-must-inherit")
def test_a_plain_class_is_not_found(cell):
    net = nn.Module()
    net.head = Linear(4, 3)
    net.duck = Duck(cell.tensor([[1.0]]), cell.tensor([1.0]))
    assert list(net.state_dict()) == ["head.w", "head.b"]
    assert [name for name, _ in net.named_parameters()] == ["head.w", "head.b"]
    assert [name for name, _ in net.named_modules()] == ["", "head"]
