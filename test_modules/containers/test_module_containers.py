"""Sequential, ModuleList and ModuleDict beside the Python list or dictionary that they stand for."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, sum_bound


def layers(count):
    """``count`` modules of different types, so that a failure shows which is where."""
    return [kind() for kind in (nn.ReLU, nn.Tanh, nn.ELU, nn.SELU, nn.GELU, nn.Sigmoid, nn.CELU, nn.SiLU)[:count]]


def holds(container, expected):
    """Whether the container's children are ``expected``, numbered from zero, by every way to see them."""
    children = [pair for pair in container.named_modules(remove_duplicate=False) if pair[0] and "." not in pair[0]]
    return (
        children == [(str(place), one) for place, one in enumerate(expected)]
        and list(container) == expected
        and len(container) == len(expected)
        and all(container[place] is one for place, one in enumerate(expected))
    )


def named(*names):
    return nn.Sequential(OrderedDict(zip(names, layers(len(names)), strict=True)))


def attempt(function):
    """What a call raised, as text, or nothing."""
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


# --- Sequential


@claim("seq-append")
@pytest.mark.parametrize("count", [0, 1, 3, 7])
def test_append(count):
    *expected, last = layers(count + 1)
    container = nn.Sequential(*expected)
    assert container.append(last) is container
    assert holds(container, [*expected, last])


@claim("seq-append")
def test_append_to_named():
    container, last = named("first", "second"), nn.GELU()
    before = list(container.named_children())
    container.append(last).append(nn.Identity())
    assert list(container.named_children()) == [*before, ("2", last), ("3", container[3])]


@claim("seq-append-numbered-name")
@pytest.mark.parametrize("names", [("1",), ("2", "x"), ("1", "2", "3")], ids=" ".join)
def test_append_where_the_number_is_taken(names):
    container, last = named(*names), nn.GELU()
    before = list(container)
    container.append(last)
    assert list(container) == [*before, last], f"expected {len(before) + 1} children, seen {len(container)}"


@claim("seq-extend")
@pytest.mark.parametrize("kind", [list, tuple, iter, nn.ModuleList, lambda some: nn.Sequential(*some)],
                         ids=["list", "tuple", "iterator", "ModuleList", "Sequential"])  # fmt: skip
@pytest.mark.parametrize("count", [0, 1, 3])
def test_extend(count, kind):
    expected = layers(count + 2)
    container = nn.Sequential(*expected[:2])
    assert container.extend(kind(expected[2:])) is container
    assert holds(container, expected)


@claim("seq-extend-numbered-name")
@pytest.mark.parametrize("extend", ["extend", "+="])
def test_extend_where_numbers_are_taken(extend):
    container, more = named("1"), layers(4)[1:]
    before = list(container)
    if extend == "extend":
        container.extend(more)
    else:
        container += nn.Sequential(*more)
    assert list(container) == [*before, *more], f"expected {len(before) + len(more)} children, seen {len(container)}"


@claim("seq-insert")
@pytest.mark.parametrize("place", range(-4, 5))
def test_insert(place):
    *expected, new = layers(5)
    container = nn.Sequential(*expected)
    assert container.insert(place, new) is container
    expected.insert(place, new)
    assert holds(container, expected)


@claim("seq-insert")
def test_insert_into_an_empty_one():
    container, new = nn.Sequential(), nn.ReLU()
    container.insert(0, new)
    assert holds(container, [new])


@claim("seq-insert-range")
@pytest.mark.parametrize(("count", "place"), [(0, 1), (0, -1), (3, 4), (3, -4), (3, 99), (1, -2)])
def test_insert_outside(count, place):
    expected = layers(count)
    container = nn.Sequential(*expected)
    assert attempt(lambda: container.insert(place, nn.ReLU())) == f"IndexError: Index out of range: {place}"
    assert holds(container, expected)


@claim("seq-insert-named")
@pytest.mark.parametrize("names", [("first", "second"), ("1", "0")], ids=" ".join)
def test_insert_between_names(names):
    container, new = named(*names), nn.GELU()
    first, second = container
    raised = attempt(lambda: container.insert(1, new))
    seen = [type(one).__name__ for one in container]
    assert list(container) == [first, new, second], f"raised {raised}, seen {seen}"


@claim("seq-add")
@pytest.mark.parametrize("left", [nn.Sequential(*layers(2)), named("a", "b")], ids=["numbered", "named"])
@pytest.mark.parametrize("right", [nn.Sequential(*layers(3)), named("c", "a"), nn.Sequential()],
                         ids=["numbered", "named", "empty"])  # fmt: skip
def test_add(left, right):
    before = [list(left.named_children()), list(right.named_children())]
    total = left + right
    assert type(total) is nn.Sequential
    assert holds(total, [*left, *right])
    assert [list(left.named_children()), list(right.named_children())] == before
    assert total is not left


@claim("seq-add")
def test_add_in_place():
    expected = layers(4)
    container = same = nn.Sequential(*expected[:2])
    same += nn.Sequential(*expected[2:])
    assert same is container
    assert holds(container, expected)


@claim("seq-add")
@pytest.mark.parametrize(
    "other", [[nn.ReLU()], nn.ReLU(), nn.ModuleList([nn.ReLU()]), None], ids=lambda one: type(one).__name__
)
def test_add_something_else(other):
    expected = layers(2)
    container = nn.Sequential(*expected)
    message = "ValueError: add operator supports only objects of Sequential class"
    assert attempt(lambda: container + other).startswith(message)
    assert attempt(lambda: container.__iadd__(other)).startswith(message)
    assert holds(container, expected)


@claim("seq-multiply")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_multiply(count):
    expected = layers(3)
    container = nn.Sequential(*expected)
    for product in (container * count, count * container, named("a", "b", "c") * count):
        assert type(product) is nn.Sequential
        assert product is not container
    assert holds(container * count, expected * count)
    assert holds(count * container, expected * count)
    assert holds(container, expected)
    same = container
    same *= count
    assert same is container
    assert holds(container, expected * count)


@claim("seq-multiply")
def test_products_share_parameters():
    layer = nn.Linear(2, 2)
    assert len(list((nn.Sequential(layer) * 3).parameters())) == 2
    assert list((named("a") * 2).state_dict()) == []
    assert [name for name, _ in (named("a", "b") * 2).named_modules(remove_duplicate=False)] == ["", *"0123"]


@claim("seq-multiply-refused")
@pytest.mark.parametrize(
    ("factor", "error"),
    [(0, "ValueError"), (-1, "ValueError"), (1.5, "TypeError"), ("2", "TypeError"), (None, "TypeError")],
)
def test_multiply_refused(factor, error):
    expected = layers(2)
    container = nn.Sequential(*expected)
    for product in (lambda: container * factor, lambda: factor * container, lambda: container.__imul__(factor)):
        assert attempt(product).startswith(f"{error}: ")
    assert holds(container, expected)


@claim("seq-assign")
@pytest.mark.parametrize("place", range(-3, 3))
def test_assign(place):
    for container in (nn.Sequential(*layers(3)), named("c", "b", "a")):
        expected, names = list(container), [name for name, _ in container.named_children()]
        container[place] = expected[place] = nn.GELU()
        assert list(container) == expected
        assert [name for name, _ in container.named_children()] == names


SLICES = [slice(0, 2), slice(None, None, 2), slice(-2, None), slice(None), slice(3, 1), slice(None, None, -1), slice(9)]
PLACES = [*range(-4, 4), *SLICES]


@claim("seq-delete")
@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("kind", ["numbered", "named"])
def test_delete(kind, place):
    for take in ("del", "pop"):
        container = nn.Sequential(*layers(4)) if kind == "numbered" else named("d", "2", "0", "c")
        expected = list(container)
        if take == "del":
            del container[place]
        else:
            popped = container.pop(place)
            wanted = expected[place]
            assert (list(popped) == wanted) if isinstance(place, slice) else (popped is wanted)
        del expected[place]
        assert holds(container, expected)


# --- ModuleList


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


# --- ModuleDict


def pairs_of(names):
    return list(zip(names, layers(len(names)), strict=True))


SOURCES = {
    "dict": dict,
    "OrderedDict": OrderedDict,
    "ModuleDict": nn.ModuleDict,
    "pairs": list,
    "lists": lambda pairs: [[*pair] for pair in pairs],
    "iterator": iter,
}


@claim("mdict-registers", "mdict-order")
@pytest.mark.parametrize("kind", SOURCES)
def test_dict_registers(kind):
    pairs = [("zeta", nn.Linear(1, 1)), ("alpha", nn.ReLU()), ("10", nn.Linear(1, 1))]
    held = nn.ModuleDict(SOURCES[kind](pairs))
    assert list(held.named_children()) == pairs
    assert list(held.items()) == pairs
    assert list(held.state_dict()) == ["zeta.weight", "zeta.bias", "10.weight", "10.bias"]
    assert held.alpha is pairs[1][1]
    assert list(nn.ModuleDict().items()) == list(nn.ModuleDict(None).items()) == []


@claim("mdict-index")
def test_dict_index():
    (one, two) = pairs = pairs_of("ba")
    held = nn.ModuleDict(pairs)
    assert (held["b"], held["a"], len(held), list(held)) == (one[1], two[1], 2, ["b", "a"])
    assert ("b" in held, "c" in held, "training" in held) == (True, False, False)
    held["c"] = new = nn.GELU()
    held["b"] = replaced = nn.SiLU()
    assert list(held.items()) == [("b", replaced), two, ("c", new)]
    del held["a"]
    assert list(held.named_children()) == [("b", replaced), ("c", new)]
    assert not hasattr(held, "a")
    for missing in ("a", "training", "forward", ""):
        assert attempt(lambda missing=missing: held[missing]) == f"KeyError: {missing!r}"
        assert attempt(lambda missing=missing: held.__delitem__(missing)) == f"KeyError: {missing!r}"
        assert attempt(lambda missing=missing: held.pop(missing)) == f"KeyError: {missing!r}"
    assert list(held) == ["b", "c"]


@claim("mdict-order", "mdict-update")
@pytest.mark.parametrize("kind", SOURCES)
def test_dict_update(kind):
    old, new = pairs_of("qza"), pairs_of("xyzb")
    held = nn.ModuleDict(old)
    assert held.update(SOURCES[kind](new)) is None
    assert list(held.items()) == [old[0], ("z", new[2][1]), old[2], new[0], new[1], new[3]]


@claim("mdict-update-refused")
@pytest.mark.parametrize(
    ("thing", "error"),
    [
        (3, "TypeError: ModuleDict.update should be called with an iterable of key/value pairs, but got int"),
        ([("b", nn.ReLU()), 3], "TypeError: ModuleDict update sequence element #1 should be Iterable; is"),
        ([("b", nn.ReLU(), 1)], "ValueError: ModuleDict update sequence element #0 has length 3; 2 is required"),
        ([("b",)], "ValueError: ModuleDict update sequence element #0 has length 1; 2 is required"),
        ({"b": 3}, "TypeError: int is not a Module subclass"),
    ],
    ids=["number", "element", "three", "one", "no module"],
)
def test_dict_update_refused(thing, error):
    held = nn.ModuleDict({"a": nn.ReLU()})
    assert attempt(lambda: held.update(thing)).startswith(error)
    assert list(held) == (["a", "b"] if "#1" in error else ["a"]), "what stands before the wrong element is added"


@claim("mdict-key-rules")
@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("a.b", "KeyError: 'module name can\\'t contain \".\""),
        ("", "KeyError: 'module name can\\'t be empty string"),
        (1, "TypeError: module name should be a string. Got int"),
        (None, "TypeError: module name should be a string. Got NoneType"),
        ("keys", "KeyError: \"attribute 'keys' already exists\""),
        ("type", "KeyError: \"attribute 'type' already exists\""),
        ("training", "KeyError: \"attribute 'training' already exists\""),
    ],
    ids=repr,
)
def test_dict_key_rules(key, error):
    held = nn.ModuleDict({"a": nn.ReLU()})
    for change in (lambda: held.__setitem__(key, nn.ReLU()), lambda: held.update({key: nn.ReLU()})):
        assert attempt(change).startswith(error)
        assert list(held.keys()) == ["a"]
    assert attempt(lambda: nn.ModuleDict({key: nn.ReLU()})).startswith(error)


@claim("mdict-methods")
def test_dict_methods():
    pairs = pairs_of("bca")
    held = nn.ModuleDict(pairs)
    assert list(held.keys()) == ["b", "c", "a"]
    assert list(held.values()) == [module for _, module in pairs]
    assert list(held.items()) == pairs
    assert held.pop("c") is pairs[1][1]
    assert list(held.named_children()) == list(held.items()) == [pairs[0], pairs[2]]
    assert held.clear() is None
    assert (len(held), list(held.children())) == (0, [])
    held["c"] = pairs[1][1]
    assert list(held.items()) == [pairs[1]]
