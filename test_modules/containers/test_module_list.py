"""ModuleList beside the Python list that it stands for."""

import numpy as np
import pytest
import torch
from torch import nn

from test_modules.containers.sequences import PLACES, SLICES, attempt, holds, layers
from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, sum_bound


@claim("mlist-registers")
@pytest.mark.parametrize("kind", [list, tuple, iter, nn.ModuleList], ids=["list", "tuple", "iterator", "ModuleList"])
def test_list_registers(kind):
    expected = [nn.Linear(2, 2), nn.BatchNorm1d(2)]
    held = nn.ModuleList(kind(expected))
    assert holds(held, expected)
    assert list(held.state_dict())[:3] == ["0.weight", "0.bias", "1.weight"]
    assert len(list(held.parameters())) == 4
    held.eval()
    assert [one.training for one in expected] == [False, False]
    assert holds(nn.ModuleList(), [])
    assert holds(nn.ModuleList(None), [])


@claim("mlist-index")
@pytest.mark.parametrize("place", range(-5, 5))
def test_list_index(place):
    expected = layers(5)
    assert nn.ModuleList(expected)[place] is expected[place]


@claim("mlist-index")
@pytest.mark.parametrize("part", SLICES, ids=str)
def test_list_slice(part):
    class Mine(nn.ModuleList):
        pass

    expected = layers(4)
    for kind in (nn.ModuleList, Mine):
        held = kind(expected)
        assert type(held[part]) is kind
        assert holds(held[part], expected[part])
        assert holds(held, expected)


@claim("mlist-index-range")
@pytest.mark.parametrize(("count", "place"), [(0, 0), (0, -1), (3, 3), (3, -4), (3, 99)])
def test_list_outside(count, place):
    expected = layers(count)
    held = nn.ModuleList(expected)
    message = f"IndexError: index {place} is out of range"
    assert attempt(lambda: held[place]) == message
    assert attempt(lambda: held.__setitem__(place, nn.ReLU())) == message
    assert attempt(lambda: held.__delitem__(place)) == message
    assert attempt(lambda: held.pop(place)) == message
    assert holds(held, expected)


@claim("mlist-assign-delete")
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_list_delete(place):
    expected = layers(4)
    held, popping = nn.ModuleList(expected), nn.ModuleList(expected)
    popped, wanted = popping.pop(place), expected[place]
    assert (list(popped) == wanted) if isinstance(place, slice) else (popped is wanted)
    del held[place]
    del expected[place]
    assert holds(held, expected)
    assert holds(popping, expected)


@claim("mlist-assign-delete")
@pytest.mark.parametrize("place", range(-4, 4))
def test_list_assign(place):
    expected = layers(4)
    held = nn.ModuleList(expected)
    held[place] = expected[place] = nn.GELU()
    assert holds(held, expected)
    assert attempt(lambda: held.__setitem__(place, 3)).startswith("TypeError: ")
    assert holds(held, expected)


@claim("mlist-append")
def test_list_append():
    held, expected = nn.ModuleList(), layers(3)
    for one in expected:
        assert held.append(one) is held
    assert holds(held, expected)
    for thing in (3, torch.relu, nn.ReLU, [nn.ReLU()]):
        assert "is not a Module subclass" in attempt(lambda thing=thing: held.append(thing))
    assert holds(held, expected)


@claim("mlist-extend")
@pytest.mark.parametrize("kind", [list, tuple, iter, nn.ModuleList], ids=["list", "tuple", "iterator", "ModuleList"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_list_extend(count, kind):
    expected = layers(count + 2)
    held = nn.ModuleList(expected[:2])
    total = held + kind(expected[2:])
    assert type(total) is nn.ModuleList
    assert holds(total, expected)
    assert holds(held, expected[:2])
    assert held.extend(kind(expected[2:])) is held
    assert holds(held, expected)
    same = held
    same += kind(expected[:1])
    assert same is held
    assert holds(held, [*expected, expected[0]])


@claim("mlist-extend-refused")
@pytest.mark.parametrize("thing", [3, nn.ReLU(), None], ids=lambda one: type(one).__name__)
def test_list_extend_refused(thing):
    expected = layers(2)
    held = nn.ModuleList(expected)
    message = f"TypeError: ModuleList.extend should be called with an iterable, but got {type(thing).__name__}"
    assert attempt(lambda: held.extend(thing)) == message
    assert attempt(lambda: held.__iadd__(thing)) == message
    assert holds(held, expected)


@claim("mlist-insert")
@pytest.mark.parametrize("place", range(5))
def test_list_insert(place):
    *expected, new = layers(5)
    held = nn.ModuleList(expected)
    held.insert(place, new)
    expected.insert(place, new)
    assert holds(held, expected)


@claim("mlist-insert-negative")
@pytest.mark.parametrize("place", [-1, -2, -4])
def test_list_insert_from_the_end(place):
    *expected, new = layers(5)
    held = nn.ModuleList(expected)
    raised = attempt(lambda: held.insert(place, new))
    expected.insert(place, new)
    assert list(held) == expected, f"raised {raised}, seen {[type(one).__name__ for one in held]}"


@claim("mlist-iterates")
def test_the_documented_example(cell, rng):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linears = nn.ModuleList([nn.Linear(3, 3, bias=False) for _ in range(3)])

        def forward(self, x):
            for place, linear in enumerate(self.linears):
                x = self.linears[place // 2](x) + linear(x)
            return x

    net = cell.place(Net())
    x = cell.tensor(rng.normal(size=(2, 3)))
    value, size, off = to_numpy(x), np.abs(to_numpy(x)), 0.0
    weights = [to_numpy(linear.weight).T for linear in net.linears]
    for place, weight in enumerate(weights):
        step = weights[place // 2] + weight
        spread = np.abs(weights[place // 2]) + np.abs(weight)
        value, size = value @ step, size @ spread
        # Two sums of three products and their sum: the eight terms of one step.
        off = off @ spread + sum_bound(cell, 8, size, size) if place else sum_bound(cell, 8, size, size)
    assert_within(cell.run(net)(x), value, off, what="output", because="8 terms a step, carried through three steps")


@claim("mlist-not-callable")
@pytest.mark.parametrize(
    "container", [nn.ModuleList([nn.ReLU()]), nn.ModuleDict({"a": nn.ReLU()})], ids=["list", "dict"]
)
def test_not_callable(container):
    with pytest.raises(NotImplementedError, match='is missing the required "forward" function'):
        container(torch.zeros(1))


@claim("mlist-print")
def test_list_prints():
    assert repr(nn.ModuleList()) == "ModuleList()"
    assert repr(nn.ModuleList([nn.ReLU()])) == "ModuleList(\n  (0): ReLU()\n)"
    mixed = [nn.ReLU(), nn.ReLU(), nn.Tanh(), nn.ReLU(), nn.Sequential(nn.ELU()), nn.Sequential(nn.ELU()), nn.Tanh()]
    assert repr(nn.ModuleList(mixed)).splitlines() == [
        "ModuleList(",
        "  (0-1): 2 x ReLU()",
        "  (2): Tanh()",
        "  (3): ReLU()",
        "  (4-5): 2 x Sequential(",
        "    (0): ELU(alpha=1.0)",
        "  )",
        "  (6): Tanh()",
        ")",
    ]
    assert repr(nn.Sequential(nn.ModuleList([nn.ReLU()] * 3))).splitlines()[1:4] == [
        "  (0): ModuleList(", "    (0-2): 3 x ReLU()", "  )",
    ]  # fmt: skip
