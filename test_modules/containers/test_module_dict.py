"""ModuleDict beside the Python dictionary that it stands for."""

from collections import OrderedDict

import pytest
from torch import nn

from test_modules.containers.sequences import attempt, layers
from torchclaims import claim


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
