"""Names and order of parameters, by hand-written lists."""

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from models.perceptron import Linear, Perceptron
from torchclaims import claim

NAMES = ["layer1.w", "layer1.b", "layer2.w", "layer2.b"]


def names(module, **kwargs):
    return [name for name, _ in module.named_parameters(**kwargs)]


class Nested(nn.Module):
    """Own parameters, defined after a child; a buffer; children of children."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(Linear(2, 3), Perceptron(3, 4, 1))
        self.z = nn.Parameter(torch.zeros(1))
        self.register_buffer("count", torch.zeros(2))
        self.a = nn.Parameter(torch.zeros(2))
        self.norm = nn.BatchNorm1d(3)


@claim("module-nests")
def test_a_module_is_a_layer_or_a_network():
    net = Nested()
    assert [name for name, _ in net.named_modules()] == [
        "", "net", "net.0", "net.1", "net.1.layer1", "net.1.layer2", "norm",
    ]  # fmt: skip
    kinds = [type(module) for module in net.net.modules()]
    assert kinds == [nn.Sequential, Linear, Perceptron, Linear, Linear]
    assert [name for name, _ in net.named_children()] == ["net", "norm"]
    assert all(isinstance(module, nn.Module) for module in net.modules())


@claim("module-param-name")
def test_own_parameter():
    module = nn.Module()
    module.param_name = nn.Parameter(torch.randn(3, 4))
    (found,) = module.named_parameters()
    assert found == ("param_name", module.param_name)


@claim("module-sub-param-name")
def test_parameter_of_a_child():
    module, child = nn.Module(), nn.Module()
    child.param_name = nn.Parameter(torch.randn(3, 4))
    module.sub_module = child
    module.sub_module.sub_sub = nn.Module()
    module.sub_module.sub_sub.param_name = nn.Parameter(torch.randn(1))
    assert names(module) == ["sub_module.param_name", "sub_module.sub_sub.param_name"]
    assert list(module.state_dict()) == names(module)


@claim("module-recursive-search", "module-names-and-sizes-printed")
def test_perceptron():
    net = Perceptron(3, 4, 1)
    assert names(net) == NAMES
    members = [net.layer1.w, net.layer1.b, net.layer2.w, net.layer2.b]
    assert [id(parameter) for parameter in net.parameters()] == [id(parameter) for parameter in members]


@claim("module-recursive-search")
def test_every_level_is_searched():
    assert len(list(Nested().parameters())) == 2 + 4 + 2 + 2
    outer = nn.Module()
    outer.inner = Nested()
    every = [f"inner.{name}" for name in names(outer.inner)]
    assert names(outer) == every
    outer.inner.net.requires_grad_(False)
    assert names(outer) == every, "frozen parameters are found as well"


@claim("module-assignment-order")
def test_order_of_assignment():
    assert names(Linear(4, 3)) == ["w", "b"]
    assert names(Nested()) == [
        "z", "a", "net.0.w", "net.0.b", *(f"net.1.{name}" for name in NAMES), "norm.weight", "norm.bias",
    ]  # fmt: skip
    module = nn.Module()
    for name in "qdzam":
        setattr(module, name, nn.Parameter(torch.zeros(1)))
    assert "".join(names(module)) == "qdzam"


@claim("module-names-and-sizes-printed")
def test_print_names_and_sizes(capsys):
    for name, parameter in Perceptron(3, 4, 1).named_parameters():
        print(name, parameter.size())
    sizes = ["[3, 4]", "[4]", "[4, 1]", "[1]"]
    expected = [f"{name} torch.Size({size})" for name, size in zip(NAMES, sizes, strict=True)]
    assert capsys.readouterr().out.splitlines() == expected


@claim("module-tensor-print")
def test_print_a_result_and_a_parameter(cell):
    layer = cell.place(Linear(4, 3))
    output = layer(cell.tensor(np.ones((2, 4))))
    shown = repr(output)
    assert shown.startswith("tensor([[")
    assert shown.endswith("grad_fn=<AddBackward0>)")
    assert "Variable" not in shown
    assert "size" not in shown
    weight = repr(layer.w)
    assert weight.startswith("Parameter containing:\ntensor([[")
    assert weight.endswith("requires_grad=True)")
    where = "" if cell.device.is_cpu else torch.device(cell.device.name).type + "."
    assert output.type() == f"torch.{where}FloatTensor"


@claim("module-iterators")
def test_iterators():
    net = Perceptron(3, 4, 1)
    pairs = net.named_parameters()
    parameters = net.parameters()
    for iterator in (pairs, parameters):
        assert isinstance(iterator, Iterator)
        assert iter(iterator) is iterator
    assert next(pairs)[0] == "layer1.w"
    assert [name for name, _ in pairs] == NAMES[1:]
    assert list(pairs) == []
    assert [id(one) for one in parameters] == [id(one) for _, one in net.named_parameters()]


@claim("named-dotted")
def test_prefix_and_recurse():
    net = Nested()
    assert names(net, recurse=False) == ["z", "a"]
    assert len(list(net.parameters(recurse=False))) == 2
    assert names(net.norm, prefix="outer.norm") == ["outer.norm.weight", "outer.norm.bias"]
    assert [name for name, _ in net.named_buffers()] == [
        "count", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked",
    ]  # fmt: skip
    assert [name for name, _ in net.named_buffers(prefix="p", recurse=False)] == ["p.count"]
    assert [name for name, _ in net.net[1].named_modules(prefix="p")] == ["p", "p.layer1", "p.layer2"]


@claim("named-params-dedup")
def test_a_parameter_with_two_names():
    net = Perceptron(2, 2, 2)
    net.layer2.w = net.layer1.w
    net.extra = net.layer1.b
    assert names(net) == ["extra", "layer1.w", "layer2.b"]
    assert len(list(net.parameters())) == 3
    assert names(net, remove_duplicate=False) == ["extra", *NAMES]
    # A Module with two names gives each of its Parameters two.
    net = Perceptron(2, 2, 2)
    net.layer2 = net.layer1
    assert names(net) == NAMES[:2]
    assert names(net, remove_duplicate=False) == NAMES


@claim("module-stateful-keys")
def test_keys_of_a_stateful_module():
    class Stateful(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 3)
            self.param_list = nn.ParameterList([torch.zeros(1) for _ in range(3)])
            self.param_dict = nn.ParameterDict(OrderedDict(foo=torch.zeros(3), bar=torch.zeros(4)))
            self.register_buffer("buffer1", torch.zeros(4))
            self.param1 = nn.Parameter(torch.zeros(2))
            self.param2 = nn.Parameter(torch.zeros(1))

    assert list(Stateful().state_dict()) == [
        "param1", "param2", "buffer1", "linear.weight", "linear.bias",
        "param_list.0", "param_list.1", "param_list.2", "param_dict.foo", "param_dict.bar",
    ]  # fmt: skip
