"""get_submodule, get_parameter, get_buffer, set_submodule and apply."""

import pytest
import torch
from torch import nn

from torchclaims import claim


def diagram():
    """The module A of the documentation: net_b holds net_c, which holds conv, and linear."""
    a = nn.Module()
    a.net_b = nn.Module()
    a.net_b.net_c = nn.Module()
    a.net_b.net_c.conv = nn.Conv2d(2, 3, 3)
    a.net_b.linear = nn.Linear(4, 5)
    a.net_b.norm = nn.BatchNorm1d(2)
    a.net_b.register_buffer("fleeting", torch.zeros(1), persistent=False)
    a.net_b.plain = torch.zeros(1)
    a.net_b.number = 7
    a.net_b.register_module("empty", None)
    a.net_b.register_parameter("no_parameter", None)
    return a


def structure(module):
    return [(name, id(part)) for name, part in module.named_modules()]


@claim("get-submodule")
def test_submodules():
    a = diagram()
    assert a.get_submodule("") is a
    assert a.get_submodule("net_b") is a.net_b
    assert a.get_submodule("net_b.linear") is a.net_b.linear
    assert a.get_submodule("net_b.net_c.conv") is a.net_b.net_c.conv
    assert a.net_b.get_submodule("net_c.conv") is a.net_b.net_c.conv
    sequential = nn.Sequential(nn.Sequential(nn.ReLU(), nn.Tanh()))
    assert sequential.get_submodule("0.1") is sequential[0][1]
    for name, module in a.named_modules():
        assert a.get_submodule(name) is module


MISSING = r"has no attribute `{}`"
NO_MODULE = r"`{}` is not an nn\.Module"


@claim("get-submodule-refuses")
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere", MISSING.format("nowhere")),
        ("net_b.nowhere", MISSING.format("nowhere")),
        ("net_b.nowhere.conv", MISSING.format("nowhere")),
        ("net_b..linear", MISSING.format("")),
        ("net_b.", MISSING.format("")),
        (".net_b", MISSING.format("")),
        ("net_b.linear.weight", NO_MODULE.format("weight")),
        ("net_b.fleeting", NO_MODULE.format("fleeting")),
        ("net_b.plain.data", NO_MODULE.format("plain")),
        ("net_b.number", NO_MODULE.format("number")),
        ("net_b.empty", NO_MODULE.format("empty")),
        ("net_b.forward", NO_MODULE.format("forward")),
    ],
)
def test_no_submodule(target, message):
    with pytest.raises(AttributeError, match=message):
        diagram().get_submodule(target)


@claim("get-parameter")
def test_parameters():
    a = diagram()
    assert a.get_parameter("net_b.net_c.conv.weight") is a.net_b.net_c.conv.weight
    assert a.net_b.linear.get_parameter("bias") is a.net_b.linear.bias
    for name, parameter in a.named_parameters():
        assert a.get_parameter(name) is parameter


NO_PARAMETER = r"`{}` is not an nn\.Parameter"


@claim("get-parameter-refuses")
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", MISSING.format("")),
        ("nowhere", MISSING.format("nowhere")),
        ("net_b.linear.nowhere", MISSING.format("nowhere")),
        ("nowhere.weight", MISSING.format("nowhere")),
        ("net_b.number.weight", NO_MODULE.format("number")),
        ("net_b.norm.running_mean", NO_PARAMETER.format("running_mean")),
        ("net_b.linear", NO_PARAMETER.format("linear")),
        ("net_b.plain", NO_PARAMETER.format("plain")),
        ("net_b.number", NO_PARAMETER.format("number")),
        ("net_b.no_parameter", NO_PARAMETER.format("no_parameter")),
    ],
)
def test_no_parameter(target, message):
    with pytest.raises(AttributeError, match=message):
        diagram().get_parameter(target)


@claim("get-buffer")
def test_buffers():
    a = diagram()
    assert a.get_buffer("net_b.fleeting") is a.net_b.fleeting
    assert a.net_b.norm.get_buffer("running_var") is a.net_b.norm.running_var
    for name, buffer in a.named_buffers():
        assert a.get_buffer(name) is buffer


@claim("get-buffer-refuses")
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", MISSING.format("")),
        ("nowhere", MISSING.format("nowhere")),
        ("net_b.norm.nowhere", MISSING.format("nowhere")),
        ("nowhere.running_mean", MISSING.format("nowhere")),
        ("net_b.plain.running_mean", NO_MODULE.format("plain")),
        ("net_b.linear.weight", "`weight` is not a buffer"),
        ("net_b.norm", "`norm` is not a buffer"),
        ("net_b.plain", "`plain` is not a buffer"),
    ],
)
def test_no_buffer(target, message):
    with pytest.raises(AttributeError, match=message):
        diagram().get_buffer(target)


@claim("set-submodule")
@pytest.mark.parametrize("target", ["net_b", "net_b.linear", "net_b.net_c", "net_b.net_c.conv"])
def test_replaces(target):
    a, new = diagram(), nn.Linear(1, 1)
    before = [(name, part) for name, part in structure(a) if not name.startswith(f"{target}.")]
    a.set_submodule(target, new)
    assert structure(a) == [(name, id(new) if name == target else part) for name, part in before]


@claim("set-submodule-creates")
@pytest.mark.parametrize("options", [{}, {"strict": False}], ids=["default", "strict=False"])
def test_creates(options):
    a, conv, head = diagram(), nn.Conv2d(1, 1, 1), nn.ReLU()
    before = [name for name, _ in structure(a)]
    a.set_submodule("net_b.conv", conv, **options)
    a.set_submodule("head", head, **options)
    assert [name for name, _ in structure(a)] == [*before, "net_b.conv", "head"]
    assert a.net_b.conv is conv
    assert a.head is head


@claim("set-submodule-creates")
def test_strict():
    a, new = diagram(), nn.ReLU()
    before = structure(a)
    for target in ("net_b.conv", "head"):
        with pytest.raises(AttributeError, match=r"has no attribute `(conv|head)`"):
            a.set_submodule(target, new, strict=True)
        assert structure(a) == before
    a.set_submodule("net_b.linear", new, strict=True)
    assert a.net_b.linear is new


@claim("set-submodule-target")
@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("", ValueError, "without a target name"),
        ("nowhere.child", AttributeError, MISSING.format("nowhere")),
        ("net_b.nowhere.child", AttributeError, MISSING.format("nowhere")),
        ("net_b.number.child", AttributeError, NO_MODULE.format("number")),
        ("net_b.empty.child", AttributeError, NO_MODULE.format("empty")),
    ],
)
def test_no_place(target, error, message):
    a = diagram()
    before = structure(a)
    with pytest.raises(error, match=message):
        a.set_submodule(target, nn.ReLU())
    assert structure(a) == before


@claim("set-submodule-kind")
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("module", [None, 3, nn.ReLU, torch.relu], ids=["None", "int", "class", "function"])
def test_no_module(module, strict):
    a = diagram()
    before = structure(a)
    for target in ("net_b.linear", "net_b"):
        with pytest.raises(ValueError, match=r"`module` is not an nn\.Module"):
            a.set_submodule(target, module, strict=strict)
    assert structure(a) == before


@claim("set-submodule-kind")
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", ["number", "plain", "fleeting", "training", "forward"])
def test_the_name_of_something_else(name, strict):
    a = diagram()
    before, value = structure(a), getattr(a.net_b, name)
    with pytest.raises(AttributeError, match=NO_MODULE.format(name)):
        a.set_submodule(f"net_b.{name}", nn.ReLU(), strict=strict)
    assert structure(a) == before
    if name != "forward":
        assert getattr(a.net_b, name) is value


def visited(module):
    seen = []
    module.apply(seen.append)
    return [id(one) for one in seen]


@claim("apply-postorder")
def test_children_come_first():
    inner = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net = nn.Sequential(inner, nn.Sequential(nn.Sequential(nn.Tanh())), nn.ELU())
    assert visited(net) == [
        id(one) for one in (*inner, inner, net[1][0][0], net[1][0], net[1], net[2], net)
    ]  # fmt: skip
    leaf = nn.ReLU()
    assert visited(leaf) == [id(leaf)]


@claim("apply-postorder", "apply-returns-self")
def test_the_documented_example(cell):
    @torch.no_grad()
    def initialise(module):
        seen.append(type(module))
        if type(module) is nn.Linear:
            module.weight.fill_(1.0)
        return "ignored"

    seen = []
    net = cell.place(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    assert net.apply(initialise) is net
    assert seen == [nn.Linear, nn.Linear, nn.Sequential]
    assert [layer.weight.tolist() for layer in net] == [[[1, 1], [1, 1]]] * 2


@claim("apply-returns-self")
def test_a_leaf_is_returned():
    leaf = nn.ReLU()
    assert leaf.apply(lambda _: None) is leaf


@claim("apply-shared")
def test_a_shared_module():
    shared = nn.Sequential(nn.ReLU())
    twice = nn.Sequential(shared, shared)
    assert visited(twice) == [id(shared[0]), id(shared), id(twice)]
    left, right = nn.Sequential(shared), nn.Sequential(nn.Tanh(), shared)
    net = nn.Sequential(left, right)
    assert visited(net) == [
        id(one) for one in (shared[0], shared, left, right[0], shared[0], shared, right, net)
    ]  # fmt: skip
