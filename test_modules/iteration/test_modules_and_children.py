"""modules, named_modules, children and named_children."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from torchclaims import claim


def names(pairs):
    return [name for name, _ in pairs]


def ids(values):
    return [id(value) for value in values]


class Tree(nn.Module):
    """Three levels, registered in an order that is no alphabet's; ``shared`` stands at three places."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(2))
        self.zeta = nn.Sequential(nn.Sequential(nn.Tanh()), self.shared)
        self.alpha = nn.Module()
        self.alpha.again = self.shared


FIRST_NAMES = ["", "shared", "shared.0", "shared.1", "zeta", "zeta.0", "zeta.0.0", "alpha"]
ALL_NAMES = [
    *FIRST_NAMES[:-1], "zeta.1", "zeta.1.0", "zeta.1.1", "alpha", "alpha.again", "alpha.again.0", "alpha.again.1",
]  # fmt: skip


def at(module, path):
    """The module at a dotted path, by attributes."""
    for name in filter(None, path.split(".")):
        module = getattr(module, name)
    return module


@claim("modules-depth-first", "modules-dedup")
def test_modules():
    tree = Tree()
    assert ids(tree.modules()) == ids(at(tree, path) for path in FIRST_NAMES)
    assert ids(tree.zeta.modules()) == ids([tree.zeta, tree.zeta[0], tree.zeta[0][0], *tree.shared.modules()])


@claim("modules-depth-first")
def test_a_module_without_children_yields_itself():
    leaf = nn.ReLU()
    assert ids(leaf.modules()) == [id(leaf)]
    assert names(leaf.named_modules()) == [""]
    assert list(leaf.children()) == []


@claim("modules-dedup", "named-modules-dedup")
def test_the_documented_example():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, layer)
    assert ids(net.modules()) == ids([net, layer])
    assert [(name, id(module)) for name, module in net.named_modules()] == [("", id(net)), ("0", id(layer))]


@claim("modules-dedup")
def test_equal_modules_are_not_one():
    class Equal(nn.Module):
        def __eq__(self, other):
            return isinstance(other, Equal)

        def __hash__(self):
            return id(self)

    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), Equal(), Equal())
    assert len(list(net.modules())) == 5


@claim("modules-keep-duplicates")
def test_modules_at_each_place():
    tree = Tree()
    assert ids(tree.modules(remove_duplicate=False)) == ids(at(tree, path) for path in ALL_NAMES)
    assert ids(tree.modules(remove_duplicate=True)) == ids(at(tree, path) for path in FIRST_NAMES)


@claim("named-modules-dedup")
def test_named_modules():
    tree = Tree()
    for kwargs, expected in (({}, FIRST_NAMES), ({"remove_duplicate": False}, ALL_NAMES)):
        pairs = list(tree.named_modules(**kwargs))
        assert names(pairs) == expected
        assert [id(module) for _, module in pairs] == ids(at(tree, path) for path in expected)


@claim("named-modules-prefix")
@pytest.mark.parametrize("remove_duplicate", [True, False])
@pytest.mark.parametrize("prefix", ["net", "outer.net"])
def test_prefix(prefix, remove_duplicate):
    expected = FIRST_NAMES if remove_duplicate else ALL_NAMES
    seen = names(Tree().named_modules(prefix=prefix, remove_duplicate=remove_duplicate))
    assert seen == [prefix, *(f"{prefix}.{name}" for name in expected[1:])]


@claim("named-modules-memo")
def test_memo():
    tree = Tree()
    memo = {tree.zeta[0]}
    assert names(tree.named_modules(memo)) == [name for name in FIRST_NAMES if not name.startswith("zeta.0")]
    assert memo == set(tree.modules()) - {tree.zeta[0][0]}
    assert names(tree.named_modules(memo)) == []
    assert names(tree.named_modules({tree})) == []
    assert names(tree.named_modules()) == FIRST_NAMES, "a memo of one call is none of the next"


@claim("named-modules-memo")
def test_memo_is_left_alone_without_removal():
    memo = set()
    assert names(Tree().named_modules(memo, remove_duplicate=False)) == ALL_NAMES
    assert memo == set()


@claim("children-immediate")
def test_children():
    tree = Tree()
    assert [(name, id(child)) for name, child in tree.named_children()] == [
        ("shared", id(tree.shared)), ("zeta", id(tree.zeta)), ("alpha", id(tree.alpha)),
    ]  # fmt: skip
    assert ids(tree.children()) == ids([tree.shared, tree.zeta, tree.alpha])
    assert list(nn.Linear(1, 1).named_children()) == []


@claim("children-dedup")
def test_children_with_two_names():
    layer, other = nn.Linear(2, 2), nn.Linear(2, 2)
    net = nn.Sequential(layer, other, layer)
    assert len(net) == 3
    assert ids(net.children()) == ids([layer, other])
    assert names(net.named_children()) == ["0", "1"]
    del net[0]
    assert ids(net.children()) == ids([other, layer])


@claim("iterators-skip-none")
def test_none():
    module = nn.Module()
    module.first = nn.Linear(1, 1)
    module.register_module("empty", None)
    module.last = nn.Linear(1, 1, bias=False)
    module.register_parameter("no_parameter", None)
    module.register_buffer("no_buffer", None)
    module.register_buffer("buffer", torch.zeros(1))
    module.first.child = nn.ReLU()
    module.first.child = None
    assert names(module.named_children()) == ["first", "last"]
    for remove_duplicate in (True, False):
        assert names(module.named_modules(remove_duplicate=remove_duplicate)) == ["", "first", "last"]
        found = module.named_parameters(remove_duplicate=remove_duplicate)
        assert names(found) == ["first.weight", "first.bias", "last.weight"]
        assert names(module.named_buffers(remove_duplicate=remove_duplicate)) == ["buffer"]
    assert len([*module.children(), *module.modules(), *module.parameters(), *module.buffers()]) == 2 + 3 + 3 + 1


ITERATORS = ["parameters", "buffers", "children", "modules"]


@claim("iterators-are-lazy")
@pytest.mark.parametrize("method", [name for kind in ITERATORS for name in (kind, f"named_{kind}")])
def test_iterators(method):
    net = nn.Sequential(nn.Sequential(nn.BatchNorm1d(1)), nn.BatchNorm1d(1), nn.BatchNorm1d(1))
    expected = list(getattr(net, method)())
    iterator = getattr(net, method)()
    assert isinstance(iterator, Iterator)
    assert iter(iterator) is iterator
    first = next(iterator)
    net[2].late = nn.BatchNorm1d(1)
    rest = list(iterator)
    added = {"parameters": 2, "buffers": 3, "modules": 1, "children": 0}[method.removeprefix("named_")]
    assert len([first, *rest]) == len(expected) + added
    assert list(iterator) == []
