"""ParameterList and ParameterDict beside the Python list or dictionary that they stand for."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from torchclaims import claim


def parameters(count):
    return [nn.Parameter(torch.tensor([float(number)])) for number in range(count)]


def ids(values):
    return [id(value) for value in values]


def names(module):
    return [name for name, _ in module.named_parameters()]


def attempt(function):
    """What a call raised, as text, or nothing."""
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


# --- ParameterList


@claim("plist-registers")
@pytest.mark.parametrize("way", ["constructor", "append", "extend", "+=", "assignment"])
@pytest.mark.parametrize("step", [1, 2], ids=["plain", "every other"])
def test_tensors_become_parameters(way, step, cell):
    tensor, kept = cell.tensor([1.0, 9.0, 2.0])[::step], nn.Parameter(cell.tensor([3.0]), requires_grad=False)
    held = nn.ParameterList([tensor, kept] if way == "constructor" else [])
    if way == "append":
        held.append(tensor).append(kept)
    elif way == "extend":
        held.extend([tensor, kept])
    elif way == "+=":
        held += [tensor, kept]
    elif way == "assignment":
        held.extend([0, 0])
        held[0], held[-1] = tensor, kept
    assert [type(one) for one in held] == [nn.Parameter] * 2
    assert held[0].requires_grad
    assert held[0].data_ptr() == tensor.data_ptr()
    assert held[1] is kept
    assert names(held) == list(held.state_dict()) == ["0", "1"]


@claim("plist-registers")
def test_in_a_module(cell):
    module = nn.Module()
    module.params = nn.ParameterList([cell.tensor([1.0]), "text", cell.tensor([2.0])])
    assert names(module) == ["params.0", "params.2"]
    module.params[0].sum().backward()
    assert module.params[0].grad.tolist() == [1]
    module.half()
    assert [module.params[place].dtype for place in (0, 2)] == [torch.float16] * 2
    assert module.params[1] == "text"


@claim("plist-index")
def test_list_index():
    expected = [*parameters(3), "text", None]
    held = nn.ParameterList(expected)
    assert len(held) == 5
    assert ids(held) == ids(expected)
    for place in range(-5, 5):
        assert held[place] is expected[place]
    for part in (slice(1, 3), slice(None, None, -1), slice(-2, None), slice(3, 1), slice(None)):
        assert type(held[part]) is nn.ParameterList
        assert ids(held[part]) == ids(expected[part])
        assert len(held[part]) == len(expected[part])
    assert ("text" in held, "other" in held) == (True, False)
    assert ids(reversed(held)) == ids(expected[::-1])
    held[1] = new = nn.Parameter(torch.zeros(1))
    held[-2] = 7
    assert held[1] is new
    assert held[3] == 7
    assert names(held) == ["0", "1", "2"]


@claim("plist-index")
def test_lists_may_hold_equal_objects():
    shared = nn.Parameter(torch.zeros(1))
    held = nn.ParameterList([shared, shared, 1, 1])
    assert len(held) == 4
    assert held[0] is held[1] is shared
    assert names(held) == ["0"]


@claim("plist-index-range")
@pytest.mark.parametrize(("count", "place"), [(0, 0), (0, -1), (3, 3), (3, -4), (3, 99)])
def test_list_outside(count, place):
    held = nn.ParameterList(parameters(count))
    message = f"IndexError: index {place} is out of range"
    assert attempt(lambda: held[place]) == message
    assert attempt(lambda: held.__setitem__(place, torch.zeros(1))) == message
    assert (len(held), len(list(held.parameters()))) == (count, count)


@claim("plist-extend")
@pytest.mark.parametrize(
    "kind", [list, tuple, iter, nn.ParameterList], ids=["list", "tuple", "iterator", "ParameterList"]
)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_list_extend(count, kind):
    expected = parameters(count + 1)
    held = nn.ParameterList(expected[:1])
    assert held.extend(kind(expected[1:])) is held
    assert ids(held) == ids(expected)
    assert held.append("text") is held
    same = held
    same += kind(expected[:1])
    assert same is held
    assert ids(held) == ids([*expected, held[-2], expected[0]])


@claim("plist-extend")
@pytest.mark.parametrize(
    "thing", [3, torch.zeros(2), nn.Parameter(torch.zeros(2)), None], ids=lambda one: type(one).__name__
)
def test_list_extend_refused(thing):
    held = nn.ParameterList(parameters(1))
    message = "TypeError: ParameterList.extend should be called with an iterable, but got "
    assert attempt(lambda: held.extend(thing)) == message + type(thing).__name__
    assert attempt(lambda: held.__iadd__(thing)) == message + type(thing).__name__
    assert len(held) == 1


def deleting(held):
    del held[0]


def assigning_a_slice(held):
    held[0:1] = [5, 6]


LIST_USES = {
    "del": deleting,
    "pop": lambda held: held.pop(),
    "insert": lambda held: held.insert(0, 5),
    "remove": lambda held: held.remove(7),
    "clear": lambda held: held.clear(),
    "reverse": lambda held: held.reverse(),
    "count": lambda held: held.count(7),
    "index": lambda held: held.index(7),
    "copy": lambda held: held.copy(),
    "sort": lambda held: held.sort(),
    "+": lambda held: held.__add__([5]),
    "*": lambda held: held * 2,
    "slice assignment": assigning_a_slice,
}


@claim("plist-like-list")
@pytest.mark.parametrize("use", LIST_USES)
def test_used_like_a_list(use):
    held, expected = nn.ParameterList([9, 7, 8]), [9, 7, 8]
    raised = attempt(lambda: LIST_USES[use](held))
    LIST_USES[use](expected)
    assert (list(held), raised) == (expected, "nothing"), f"raised {raised}"


@claim("plist-replaces")
@pytest.mark.parametrize("value", [5, "text", None], ids=repr)
def test_list_replaces_a_parameter(value):
    held = nn.ParameterList(parameters(2))
    raised = attempt(lambda: held.__setitem__(0, value))
    assert (raised, held[0] is value, len(held), names(held)) == ("nothing", True, 2, ["1"]), f"raised {raised}"


@claim("plist-not-callable")
@pytest.mark.parametrize("kind", [nn.ParameterList, nn.ParameterDict])
def test_not_callable(kind):
    assert attempt(lambda: kind()(torch.zeros(1))) == f"RuntimeError: {kind.__name__} should not be called."


@claim("plist-print")
def test_printed(cell):
    values = [cell.tensor([[1.0, 2.0]]), 5, nn.Linear(1, 1)]
    where = "" if cell.device.is_cpu else f" ({torch.device(cell.device.name)})"
    kind = "torch.FloatTensor" if cell.device.is_cpu else f"torch.{torch.device(cell.device.name).type}.FloatTensor"
    for held, keys, shown in (
        (nn.ParameterList(values), "012", "torch.float32"),
        (nn.ParameterDict(list(zip("bca", values, strict=True))), "bca", kind),
    ):
        first, second, third = keys
        assert [line.strip() for line in repr(held).splitlines()] == [
            f"{type(held).__name__}(",
            f"({first}): Parameter containing: [{shown} of size 1x2{where}]",
            f"({second}): Object of type: int",
            f"({third}): Object of type: Linear",
            f"({third}): Linear(in_features=1, out_features=1, bias=True)",
            ")",
        ]
    assert repr(nn.ParameterList()) == "ParameterList()"


# --- ParameterDict


@claim("pdict-registers")
@pytest.mark.parametrize("way", ["constructor", "assignment", "update"])
def test_entries_become_parameters(way, cell):
    tensor, kept = cell.tensor([1.0, 2.0]), nn.Parameter(cell.tensor([3.0]), requires_grad=False)
    entries = {"a": tensor, "b": kept, "c": "text", "d": [tensor]}
    held = nn.ParameterDict(entries if way == "constructor" else {})
    if way == "update":
        held.update(entries)
    elif way == "assignment":
        for key, value in entries.items():
            held[key] = value
    assert type(held["a"]) is nn.Parameter
    assert held["a"].data_ptr() == tensor.data_ptr()
    assert held["b"] is kept
    assert held["c"] == "text"
    assert held["d"] is entries["d"]
    assert names(held) == list(held.state_dict()) == ["a", "b"]
    module = nn.Module()
    module.params = held
    assert names(module) == ["params.a", "params.b"]


@claim("pdict-index")
def test_dict_index():
    one, two, three = parameters(3)
    held = nn.ParameterDict([("b", one), ("a", two), ("10", "text")])
    assert (held["b"] is one, held["a"] is two, held["10"]) == (True, True, "text")
    assert (len(held), list(held)) == (3, ["b", "a", "10"])
    assert ("b" in held, "c" in held, "training" in held, "_keys" in held) == (True, False, False, False)
    assert held.b is one
    held["b"] = three
    assert held["b"] is three
    assert list(held) == ["b", "a", "10"]
    del held["b"]
    del held["10"]
    assert (list(held), names(held), len(held), "b" in held) == (["a"], ["a"], 1, False)
    assert not hasattr(held, "b")
    assert attempt(lambda: held.__delitem__("b")) == "KeyError: 'b'"
    held["b"] = one
    assert list(held) == names(held) == ["a", "b"]


MISSING = {
    "read": lambda held: held["missing"],
    "pop": lambda held: held.pop("missing"),
}


@claim("pdict-missing-key")
@pytest.mark.parametrize("way", MISSING)
def test_missing_key(way):
    held = nn.ParameterDict({"a": torch.zeros(1)})
    raised = attempt(lambda: MISSING[way](held))
    assert raised == "KeyError: 'missing'"


@claim("pdict-holds-only-keys")
@pytest.mark.parametrize("name", ["training", "forward", "keys"])
def test_attributes_are_no_entries(name):
    held = nn.ParameterDict({"a": torch.zeros(1)})
    raised = attempt(lambda: held[name])
    assert raised == f"KeyError: {name!r}"


@claim("pdict-replaces")
@pytest.mark.parametrize("way", ["assignment", "update"])
@pytest.mark.parametrize("value", [5, "text", None], ids=repr)
def test_dict_replaces_a_parameter(value, way):
    held = nn.ParameterDict({"a": torch.zeros(1), "b": torch.zeros(1)})
    raised = attempt(lambda: held.update({"a": value}) if way == "update" else held.__setitem__("a", value))
    seen = (raised, held["a"] is value, list(held), names(held))
    assert seen == ("nothing", True, ["a", "b"], ["b"]), f"raised {raised}"


@claim("pdict-any-name")
@pytest.mark.parametrize("name", ["training", "keys"])
def test_other_objects_under_any_name(name):
    held = nn.ParameterDict({"a": torch.zeros(1)})
    held[name] = 5
    held.eval()
    seen = attempt(lambda: list(held.keys()))
    assert (held[name], seen) == (5, "nothing"), f"{name}: {held[name]}, keys() raised {seen}"


@claim("pdict-key-rules")
@pytest.mark.parametrize(
    ("key", "error"),
    [
        (1, "TypeError: Index given to ParameterDict cannot be used as a key as it is not a string (type is 'int')"),
        (
            None,
            "TypeError: Index given to ParameterDict cannot be used as a key as it is not a string",
        ),
        ("a.b", "KeyError: 'parameter name can\\'t contain \".\"'"),
        ("", "KeyError: 'parameter name can\\'t be empty string \"\"'"),
        ("keys", "KeyError: \"attribute 'keys' already exists\""),
        ("forward", "KeyError: \"attribute 'forward' already exists\""),
    ],
    ids=repr,
)
def test_dict_key_rules(key, error):
    held = nn.ParameterDict()
    assert attempt(lambda: held.__setitem__(key, torch.zeros(1))).startswith(error)
    assert names(held) == []
    if not isinstance(key, str):
        assert attempt(lambda: held[key]).startswith(error)


ORDERED = {
    "OrderedDict": OrderedDict,
    "ParameterDict": lambda pairs: nn.ParameterDict(pairs),
    "pairs": list,
    "lists": lambda pairs: [[*pair] for pair in pairs],
    "iterator": iter,
}


def pairs_of(keys):
    return list(zip(keys, parameters(len(keys)), strict=True))


def same_pairs(items, expected):
    return [(key, id(value)) for key, value in items] == [(key, id(value)) for key, value in expected]


@claim("pdict-order")
@pytest.mark.parametrize("kind", ORDERED)
def test_dict_order(kind):
    pairs = pairs_of("zaqb")
    held = nn.ParameterDict(ORDERED[kind](pairs))
    assert same_pairs(held.items(), pairs)
    assert names(held) == ["z", "a", "q", "b"]
    held["m"] = held["c"] = pairs[0][1]
    assert list(held) == ["z", "a", "q", "b", "m", "c"]


@claim("pdict-order", "pdict-update")
@pytest.mark.parametrize("kind", ORDERED)
def test_dict_update(kind):
    old, new = pairs_of("qza"), pairs_of("xyzb")
    held = nn.ParameterDict(old)
    assert held.update(ORDERED[kind](new)) is None
    assert same_pairs(held.items(), [old[0], ("z", new[2][1]), old[2], new[0], new[1], new[3]])
    assert held.z is new[2][1]


@claim("pdict-plain-dict-order", "pdict-update")
def test_plain_dict():
    pairs = pairs_of(["foo", "bar"])
    assert list(nn.ParameterDict(dict(pairs)).state_dict()) == ["bar", "foo"]
    old, new = pairs_of("qza"), pairs_of("xczb")
    held = nn.ParameterDict(old)
    held.update(dict(new))
    assert list(held) == ["q", "z", "a", "b", "c", "x"]
    assert held["z"] is new[2][1]
    assert held["q"] is old[0][1]


@claim("pdict-update-refused")
@pytest.mark.parametrize(
    ("thing", "error"),
    [
        (3, "TypeError: ParametersDict.update should be called with an iterable of key/value pairs, but got int"),
        ([("b", 1), 3], "TypeError: ParameterDict update sequence element #1 should be Iterable; is"),
        ([("b", 1, 2)], "ValueError: ParameterDict update sequence element #0 has length 3; 2 is required"),
        ([("b",)], "ValueError: ParameterDict update sequence element #0 has length 1; 2 is required"),
    ],
    ids=["number", "element", "three", "one"],
)
def test_dict_update_refused(thing, error):
    held = nn.ParameterDict({"a": torch.zeros(1)})
    assert attempt(lambda: held.update(thing)).startswith(error)
    assert list(held) == (["a", "b"] if "#1" in error else ["a"]), "what stands before the wrong element is added"


@claim("pdict-get")
def test_get():
    one, default = parameters(2)
    held = nn.ParameterDict({"a": one, "none": None})
    assert held.get("a") is held.get("a", default) is one
    assert held.get("b") is None
    assert held.get("b", default) is default
    assert held.get("training", default) is default
    assert held.get("none", default) is None
    assert set(held) == {"a", "none"}


@claim("pdict-setdefault")
def test_setdefault():
    one, default = parameters(2)
    held = nn.ParameterDict({"a": one})
    assert held.setdefault("a", default) is one
    assert held.setdefault("b", default) is default
    assert held.setdefault("b", one) is default
    assert held.setdefault("c") is None
    assert held.setdefault("c", one) is None
    assert list(held.items()) == [("a", one), ("b", default), ("c", None)]
    tensor = torch.zeros(1)
    wrapped = held.setdefault("d", tensor)
    assert wrapped is held["d"]
    assert type(wrapped) is nn.Parameter
    assert wrapped.data_ptr() == tensor.data_ptr()
    assert names(held) == ["a", "b", "d"]
    held["e"] = 0
    assert held.setdefault("e", 1) == held["e"] == 0


@claim("pdict-pop")
def test_pop():
    pairs = pairs_of("zaqb")
    held = nn.ParameterDict(pairs)
    assert held.pop("a") is pairs[1][1]
    assert list(held) == names(held) == ["z", "q", "b"]
    assert same_pairs([held.popitem()], [pairs[3]])
    assert list(held) == names(held) == ["z", "q"]
    assert not hasattr(held, "b")
    assert held.clear() is None
    assert (len(held), list(held), names(held)) == (0, [], [])
    assert attempt(lambda: held.popitem()).startswith("KeyError: ")
    held["z"] = pairs[0][1]
    assert list(held) == ["z"]


@claim("pdict-views")
def test_views():
    pairs = [*pairs_of("zaq"), ("text", "other")]
    held = nn.ParameterDict(pairs)
    assert list(held.keys()) == ["z", "a", "q", "text"]
    assert ids(held.values()) == ids(value for _, value in pairs)
    assert same_pairs(held.items(), pairs)
    assert list(reversed(held)) == ["text", "q", "a", "z"]


@claim("pdict-copy")
def test_copy():
    pairs = [*pairs_of("zaq"), ("text", "other")]
    held = nn.ParameterDict(pairs)
    copied = held.copy()
    assert type(copied) is nn.ParameterDict
    assert copied is not held
    assert same_pairs(copied.items(), pairs)
    del copied["a"]
    copied["new"] = 1
    assert list(held) == ["z", "a", "q", "text"]
    assert same_pairs(held.items(), pairs)


@claim("pdict-fromkeys")
def test_fromkeys():
    default = nn.Parameter(torch.zeros(1))
    held = nn.ParameterDict(pairs_of("x"))
    made = held.fromkeys(["z", "a"], default)
    assert type(made) is nn.ParameterDict
    assert same_pairs(made.items(), [("z", default), ("a", default)])
    assert list(held.fromkeys("ba").items()) == [("b", None), ("a", None)]
    assert list(held) == ["x"]


@claim("pdict-union")
def test_union():
    left, right = nn.ParameterDict(pairs_of("zaq")), nn.ParameterDict(pairs_of("bax"))
    before = [list(left.items()), list(right.items())]
    union = left | right
    expected = [("z", left["z"]), ("a", right["a"]), ("q", left["q"]), ("b", right["b"]), ("x", right["x"])]
    assert type(union) is nn.ParameterDict
    assert same_pairs(union.items(), expected)
    assert same_pairs(left.__ror__(right).items(), [("b", right["b"]), ("a", left["a"]), ("x", right["x"]),
                                                    ("z", left["z"]), ("q", left["q"])])  # fmt: skip
    assert [same_pairs(left.items(), before[0]), same_pairs(right.items(), before[1])] == [True, True]
    same = left
    same |= right
    assert same is left
    assert same_pairs(left.items(), expected)
