"""The names that layers get, which of them are possible, and which weights load where."""

import copy
import re
import warnings
from collections import OrderedDict

import pytest
from torch import nn

from models.four_ways import WAYS, AddModuleNet, AttributesNet, OrderedDictNet, SequentialNet
from torchclaims import claim
from torchclaims.tolerance import assert_same

NAMED = ["conv.conv1", "dense.dense1", "dense.dense2"]
LAYERS = {
    AttributesNet: ["conv1", "dense1", "dense2"],
    SequentialNet: ["conv.0", "dense.0", "dense.2"],
    AddModuleNet: NAMED,
    OrderedDictNet: NAMED,
}

# Ways to give a layer a name.
ADDING = {
    "add_module": nn.Sequential.add_module,
    "register_module": nn.Sequential.register_module,
    "OrderedDict": lambda container, name, layer: nn.Sequential(OrderedDict([(name, layer)])),
}


def entries(way):
    """The names of the entries of ``way``, in order."""
    return [f"{layer}.{kind}" for layer in LAYERS[way] for kind in ("weight", "bias")]


@claim("seq-names")
@pytest.mark.parametrize("way", [AttributesNet, SequentialNet], ids=lambda way: way.__name__)
def test_numbers_stand_for_names(way):
    assert list(way().state_dict()) == entries(way)


@claim("seq-names")
def test_numbers_are_strings_and_positions():
    layers = [nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1), nn.Sequential(nn.ReLU(), nn.Linear(1, 1))]
    container = nn.Sequential(*layers)
    assert list(container.named_children()) == list(zip("0123", layers, strict=True))
    assert [name for name, _ in container.named_parameters()][-1] == "3.1.bias"
    assert getattr(container, "2") is container.get_submodule("2") is layers[2]
    container.append(layers[0])
    assert [key.split(".")[0] for key in container.state_dict() if key.endswith("weight")] == list("0234")
    container.insert(1, nn.Tanh())
    assert [name for name, _ in container.named_modules(remove_duplicate=False) if "." not in name][1:] == list(
        "012345"
    )
    assert container[1].__class__ is nn.Tanh
    assert container[2] is layers[1]
    assert getattr(container, "5") is layers[0]
    del container[1]
    assert [name for name, _ in container.named_modules(remove_duplicate=False) if "." not in name][1:] == list("01234")
    assert getattr(container, "1") is layers[1]


@claim("seq-names", "build-add-module-names")
def test_given_names_are_kept():
    layers = [("b", nn.ReLU()), ("a", nn.Tanh()), ("10", nn.ELU()), ("9", nn.SELU())]
    container = nn.Sequential()
    for name, layer in layers:
        container.add_module(name, layer)
    assert list(container.named_children()) == list(nn.Sequential(OrderedDict(layers)).named_children()) == layers


@claim("build-add-module-names")
@pytest.mark.parametrize("way", [AddModuleNet, OrderedDictNet], ids=lambda way: way.__name__)
def test_names_in_entries_attributes_and_index(way):
    model = way()
    assert list(model.state_dict()) == entries(way)
    assert model.conv[0] is model.conv.conv1 is model.get_submodule("conv.conv1")
    assert model.dense[2] is model.dense.dense2
    assert [name for name, _ in model.dense.named_children()] == ["dense1", "relu2", "dense2"]


@claim("build-names-part-weights")
@pytest.mark.parametrize(
    ("source", "target"),
    [(one, other) for one in WAYS for other in WAYS if LAYERS[one] != LAYERS[other]],
    ids=lambda way: way.__name__,
)
def test_other_names_do_not_load(source, target):
    model, weights = target(), source().state_dict()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match=r"(?s)Missing key.*Unexpected key") as refusal:
        model.load_state_dict(weights)
    missing, _, unexpected = str(refusal.value).partition("Unexpected key")
    assert re.findall(r'"([^"]+)"', missing) == entries(target)
    assert re.findall(r'"([^"]+)"', unexpected) == entries(source)
    for _ in range(2):
        assert list(model.state_dict()) == list(before)
        for name, entry in model.state_dict().items():
            assert_same(entry, before[name], what=name)
        report = model.load_state_dict(weights, strict=False)
        assert (report.missing_keys, report.unexpected_keys) == (entries(target), entries(source))


@claim("build-named-ways-interchange")
@pytest.mark.parametrize(
    ("source", "target"),
    [(AddModuleNet, OrderedDictNet), (OrderedDictNet, AddModuleNet)],
    ids=["3 to 4", "4 to 3"],
)
def test_named_ways_load_each_other(cell, rng, source, target):
    giver, taker = cell.place(source()), cell.place(target())
    weights = giver.state_dict()
    assert list(weights) == list(taker.state_dict()) == entries(target)
    x = cell.tensor(rng.normal(0, 20, size=(2, 3, 6, 6)))
    assert not taker(x).equal(giver(x))
    report = taker.load_state_dict(weights)
    assert not report.missing_keys
    assert not report.unexpected_keys
    for name, entry in taker.state_dict().items():
        assert_same(entry, weights[name], what=name)
        assert entry.data_ptr() != weights[name].data_ptr(), "loading copies"
    assert_same(taker(x), giver(x), what="output after loading")


@claim("build-named-ways-interchange")
def test_pool_names_differ_and_do_not_matter():
    kinds = [[(name, type(one)) for name, one in way().conv.named_children()] for way in (AddModuleNet, OrderedDictNet)]
    assert [kind for _, kind in kinds[0]] == [kind for _, kind in kinds[1]] == [nn.Conv2d, nn.ReLU, nn.MaxPool2d]
    assert (kinds[0][2][0], kinds[1][2][0]) == ("pool1", "pool")


@claim("build-plain-dict-refused")
def test_plain_dict():
    layers = {"first": nn.Linear(2, 3), "second": nn.ReLU()}
    with pytest.raises(TypeError, match="dict is not a Module subclass"):
        nn.Sequential(layers)
    assert list(nn.Sequential(OrderedDict(layers)).named_children()) == list(layers.items())


@claim("build-plain-dict-refused")
def test_ordered_dict_beside_another_argument():
    with pytest.raises(TypeError, match="OrderedDict is not a Module subclass"):
        nn.Sequential(OrderedDict(first=nn.ReLU()), nn.ReLU())


@claim("build-duplicate-replaces")
def test_taken_name_is_taken_over():
    first, second, third = nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3)
    container = nn.Sequential(OrderedDict([("a", first), ("b", second)]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            container.add_module("a", third)
        except Exception as error:
            pytest.fail(f"not taken over silently: {error!r}")
    assert list(container.named_children()) == [("a", third), ("b", second)]
    assert container.a is container[0] is third
    assert {id(one) for one in container.parameters()} == {id(third.weight), id(third.bias)}


@claim("build-duplicate-replaces")
def test_duplicate_key_of_an_ordered_dict():
    first, second, third = nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3)
    container = nn.Sequential(OrderedDict([("a", first), ("b", second), ("a", third)]))
    assert list(container.named_children()) == [("a", third), ("b", second)]


@claim("build-name-rules")
@pytest.mark.parametrize("way", ADDING)
@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("", KeyError, "empty"),
        ("conv.1", KeyError, r'contain "\.".*conv\.1'),
        (".", KeyError, r'contain "\."'),
        ("training", KeyError, "attribute 'training' already exists"),
        ("forward", KeyError, "attribute 'forward' already exists"),
        ("state_dict", KeyError, "attribute 'state_dict' already exists"),
        (1, TypeError, "string.*int"),
        (None, TypeError, "string.*NoneType"),
    ],
    ids=["empty", "dotted", "dot", "training", "forward", "state_dict", "int", "None"],
)
def test_impossible_names(way, name, error, match):
    first, second = nn.ReLU(), nn.Tanh()
    container = nn.Sequential(OrderedDict(first=first))
    with pytest.raises(error, match=match):
        ADDING[way](container, name, second)
    assert list(container.named_children()) == [("first", first)]
    assert container.training is True
    assert second not in container.modules()


@claim("build-name-rules")
def test_attribute_of_the_user():
    container = nn.Sequential()
    container.mark = 3
    with pytest.raises(KeyError, match="attribute 'mark' already exists"):
        container.add_module("mark", nn.ReLU())
    assert container.mark == 3
    assert len(container) == 0


@claim("build-name-rules")
@pytest.mark.parametrize("name", ["0", "weight", "two words", "größe", "class", "a-b", "_private"])
def test_possible_names(name):
    layer = nn.Linear(1, 1)
    container = nn.Sequential()
    container.add_module(name, layer)
    assert list(container.named_children()) == [(name, layer)]
    assert getattr(container, name) is container.get_submodule(name) is layer
    assert list(container.state_dict()) == [f"{name}.weight", f"{name}.bias"]
