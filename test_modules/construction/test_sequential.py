"""nn.Sequential itself: it chains, calls, indexes, and refuses what is not a module."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, sum_bound


def named():
    """A container of five layers with names."""
    kinds = dict(first=nn.ReLU, second=nn.Tanh, third=nn.ELU, fourth=nn.SELU, fifth=nn.GELU)
    return nn.Sequential(OrderedDict((name, kind()) for name, kind in kinds.items()))


def numbered():
    """A container of five layers with numbers."""
    return nn.Sequential(*named())


both = pytest.mark.parametrize("container", [named, numbered], ids=["named", "numbered"])


@claim("seq-chain")
def test_chain(cell, rng):
    model = cell.place(nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 4, bias=False)))
    x = cell.tensor(rng.normal(size=(5, 3)))
    first, second = (to_numpy(model[place].weight).T for place in (0, 2))
    hidden, size = to_numpy(x) @ first, np.abs(to_numpy(x)) @ np.abs(first)
    off = sum_bound(cell, 3, size, size)
    expected = np.maximum(hidden, 0) @ second
    size = (np.maximum(hidden, 0) + off) @ np.abs(second)
    bound = off @ np.abs(second) + sum_bound(cell, 4, size, size)
    because = "a sum of 3 products carried through one of 4; ReLU adds nothing"
    assert_within(cell.run(model)(x), expected, bound, what="last output", because=because)


@claim("seq-chain", "seq-calls-children")
def test_each_child_gets_the_object_that_the_one_before_gave(cell, rng):
    inner = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model = cell.place(nn.Sequential(nn.Linear(3, 2), inner, nn.Linear(2, 1)))
    calls = []
    for name, module in model.named_modules():
        module.register_forward_pre_hook(lambda _, args, name=name: calls.append((f"{name} takes", *args)))
        module.register_forward_hook(lambda _, args, output, name=name: calls.append((f"{name} gives", output)))
    x = cell.tensor(rng.normal(size=(2, 3)))
    output = model(x)
    assert [event for event, _ in calls] == [
        " takes",
        *("0 takes", "0 gives"),
        *("1 takes", "1.0 takes", "1.0 gives", "1.1 takes", "1.1 gives", "1 gives"),
        *("2 takes", "2 gives"),
        " gives",
    ]
    passed = dict(calls)
    assert passed[" takes"] is passed["0 takes"] is x
    assert passed["0 gives"] is passed["1 takes"] is passed["1.0 takes"]
    assert passed["1.0 gives"] is passed["1.1 takes"]
    assert passed["1.1 gives"] is passed["1 gives"] is passed["2 takes"]
    assert passed["2 gives"] is passed[" gives"] is output


@claim("seq-calls-children")
def test_hooks_replace_what_goes_in_and_comes_out(cell, rng):
    model = cell.place(nn.Sequential(nn.Linear(3, 3), nn.Identity(), nn.Linear(3, 2)))
    x, entering, leaving = (cell.tensor(rng.normal(size=(2, 3))) for _ in range(3))
    seen = []
    model[0].register_forward_hook(lambda *_: entering)
    model[1].register_forward_hook(lambda _, args, output: seen.append(output) or leaving)
    model[2].register_forward_pre_hook(lambda _, args: seen.append(args[0]) or (entering,))
    alone = nn.Linear(3, 2)
    alone.load_state_dict(model[2].state_dict())
    assert_same(model(x), cell.place(alone)(entering), what="output")
    assert seen[0] is entering
    assert seen[1] is leaving


@claim("seq-repeated-child")
def test_child_at_two_places(cell, rng):
    layer = nn.Linear(3, 3)
    model = cell.place(nn.Sequential(layer, nn.Tanh(), layer))
    uses = []
    layer.register_forward_hook(lambda _, args, output: uses.append((*args, output)))
    x = cell.tensor(rng.normal(size=(2, 3)))
    output = model(x)
    assert len(uses) == 2
    first = F.linear(x, layer.weight, layer.bias)
    second = F.linear(torch.tanh(first), layer.weight, layer.bias)
    assert_same(uses[0][1], first, what="output of the first use")
    assert_same(output, second, what="output of the second use")
    assert len(model) == 3
    assert list(model) == [layer, model[1], layer]
    assert len(list(model.parameters())) == 2
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


@claim("seq-index-slice")
@both
def test_index(container):
    container = container()
    children = list(container.children())
    assert len(container) == 5
    assert list(container) == children
    for place in range(-5, 5):
        assert container[place] is children[place]


@claim("seq-index-slice")
@both
@pytest.mark.parametrize(
    "part",
    [slice(1, 3), slice(-2, None), slice(None, None, 2), slice(3, 1), slice(2, 99), slice(None)],
    ids=["[1:3]", "[-2:]", "[::2]", "[3:1]", "[2:99]", "[:]"],
)
def test_slice(container, part):
    container = container()
    before = list(container.named_children())
    taken = container[part]
    assert type(taken) is nn.Sequential
    assert taken is not container
    assert [one for _, one in taken.named_children()] == [one for _, one in before[part]]
    assert [name for name, _ in taken.named_children()] == [name for name, _ in before[part]]
    assert list(container.named_children()) == before


@claim("seq-index-out-of-range")
@both
@pytest.mark.parametrize("place", [5, -6, 99])
def test_out_of_range(container, place):
    container = container()
    before = list(container.named_children())
    with pytest.raises(IndexError, match="out of range"):
        container[place]
    with pytest.raises(IndexError, match="out of range"):
        container[place] = nn.ReLU()
    with pytest.raises(IndexError, match="out of range"):
        del container[place]
    assert list(container.named_children()) == before


@claim("seq-index-out-of-range")
def test_nothing_in_an_empty_one():
    for place in (0, -1):
        with pytest.raises(IndexError, match="out of range"):
            nn.Sequential()[place]


@claim("seq-nonmodule")
@pytest.mark.parametrize(
    "thing",
    [torch.relu, 3, nn.ReLU, "relu", torch.zeros(1), [nn.ReLU()]],
    ids=["function", "int", "class", "string", "tensor", "list"],
)
def test_what_is_not_a_module(thing):
    with pytest.raises(TypeError, match="is not a Module subclass"):
        nn.Sequential(nn.Tanh(), thing)
    with pytest.raises(TypeError, match="is not a Module subclass"):
        nn.Sequential(OrderedDict(first=nn.Tanh(), second=thing))
    container = numbered()
    before = list(container.named_children())
    with pytest.raises(TypeError, match="is not a Module subclass"):
        container.append(thing)
    with pytest.raises(AssertionError, match="should be of type"):
        container.insert(1, thing)
    assert list(container.named_children()) == before


@claim("seq-empty")
@pytest.mark.parametrize("thing", ["text", None, [1, 2]], ids=["string", "None", "list"])
def test_empty_gives_back_any_object(thing):
    assert nn.Sequential()(thing) is thing
    assert nn.Sequential(nn.Sequential(), nn.Sequential())(thing) is thing


@claim("seq-empty")
def test_empty_gives_back_the_tensor(cell, rng):
    x = cell.tensor(rng.normal(size=(2, 3)), requires_grad=True)
    assert nn.Sequential()(x) is x
    assert not list(nn.Sequential().parameters())


@claim("seq-single-input")
@pytest.mark.parametrize("container", [nn.Sequential, named], ids=["empty", "named"])
@pytest.mark.parametrize("count", [0, 2, 3])
def test_one_input(container, count):
    with pytest.raises(TypeError, match="argument"):
        container()(*[torch.zeros(2)] * count)
    with pytest.raises(TypeError, match="argument"):
        container()(torch.zeros(2), scale=2)


@claim("seq-single-input")
def test_tuple_is_one_input():
    class Add(nn.Module):
        def forward(self, pair):
            return pair[0] + pair[1]

    assert nn.Sequential(Add())((2, 3)) == 5
