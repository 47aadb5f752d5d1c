"""Which entries load_state_dict takes, what it refuses, and what it says of both."""

import types
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from test_modules.state.nets import SUCCESS, Stateful, outcome
from torchclaims import claim
from torchclaims.tolerance import assert_same


@claim("load-result")
def test_result():
    net = Stateful()
    state = net.state_dict()
    matched = net.load_state_dict(state)
    assert (str(matched), repr(matched)) == (SUCCESS, SUCCESS)
    del state["seen"], state["inner.0.weight"]
    state["more"] = state["inner.more"] = torch.zeros(1)
    result = net.load_state_dict(state, strict=False)
    assert isinstance(result, tuple)
    missing, unexpected = result
    assert (result.missing_keys, result.unexpected_keys) == (missing, unexpected)
    assert missing == ["seen", "inner.0.weight"]
    assert unexpected == ["more", "inner.more"]
    assert SUCCESS not in repr(result)
    assert "missing_keys=['seen', 'inner.0.weight'], unexpected_keys=['more', 'inner.more']" in repr(result)


@claim("load-result")
def test_either_list_shows():
    net = nn.Sequential(nn.Linear(1, 1, bias=False))
    state = net.state_dict()
    assert repr(net.load_state_dict({}, strict=False)) != SUCCESS
    assert repr(net.load_state_dict({**state, "more": torch.zeros(1)}, strict=False)) != SUCCESS


@claim("load-nonmapping")
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("kind", ["list", "items", "None", "module"])
def test_no_mapping(kind, strict):
    net = nn.Linear(1, 1)
    state = {key: value + 1 for key, value in net.state_dict().items()}
    thing = {"list": [*state.items()], "items": state.items(), "None": None, "module": nn.Linear(1, 1)}[kind]
    before = net.weight.item()
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like, got"):
        net.load_state_dict(thing, strict=strict)
    assert net.weight.item() == before


@claim("load-nonmapping")
@pytest.mark.parametrize("kind", [dict, OrderedDict, types.MappingProxyType])
def test_any_mapping(kind):
    source, target = Stateful(3.0), Stateful()
    state = kind(dict(source.state_dict()))
    assert repr(target.load_state_dict(state)) == SUCCESS
    assert target.w.tolist() == [[3] * 3] * 2
    assert target.inner[0].weight.item() == 3


@claim("load-strict-default")
@pytest.mark.parametrize("options", [{}, {"strict": True}], ids=["default", "strict=True"])
def test_strict(options):
    net = Stateful()
    state = net.state_dict()
    for key in ("w", "inner.1.running_var"):
        lacking = {name: value for name, value in state.items() if name != key}
        assert f'Missing key(s) in state_dict: "{key}".' in str(outcome(net.load_state_dict, lacking, **options))
        assert net.load_state_dict(lacking, strict=False) == ([key], [])
    for key in ("more", "inner.more", "inner.0.bias", "other.weight"):
        longer = {**state, key: torch.zeros(1)}
        assert f'Unexpected key(s) in state_dict: "{key}".' in str(outcome(net.load_state_dict, longer, **options))
        assert net.load_state_dict(longer, strict=False) == ([], [key])


@claim("load-errors-together")
def test_all_errors_at_once():
    net = Stateful()
    state = dict(net.state_dict())
    del state["frozen"], state["inner.0.weight"]
    state |= {"more": torch.zeros(1), "inner.1.more": torch.zeros(1)}
    state |= {"w": torch.zeros(3, 2), "inner.1.running_mean": torch.zeros(2)}
    message = outcome(net.load_state_dict, state)
    assert message.splitlines()[0] == "Error(s) in loading state_dict for Stateful:"
    assert 'Missing key(s) in state_dict: "frozen", "inner.0.weight".' in message
    assert 'Unexpected key(s) in state_dict: "more", "inner.1.more".' in message
    for key in ("w", "inner.1.running_mean"):
        assert f"size mismatch for {key}: " in message
    message = outcome(net.load_state_dict, state, strict=False)
    assert message.count("size mismatch for") == 2
    assert "key(s)" not in message


@claim("load-none-entry-strict")
@pytest.mark.parametrize("key", ["no_parameter", "no_buffer"])
def test_entry_for_none(key):
    net = Stateful()
    seen = str(outcome(net.load_state_dict, {**net.state_dict(), key: torch.zeros(1)}))
    assert f'Unexpected key(s) in state_dict: "{key}".' in seen
    assert getattr(net, key) is None


@claim("load-none-entry")
@pytest.mark.parametrize("key", ["no_parameter", "no_buffer"])
def test_entry_for_none_without_strictness(key):
    net = Stateful()
    seen = outcome(net.load_state_dict, {**net.state_dict(), key: torch.zeros(1)}, strict=False)
    assert isinstance(seen, str), f"expected RuntimeError, seen {seen}"
    assert key in seen


@claim("load-strict-counter")
@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_state_without_counter(kind):
    net = nn.Sequential(nn.BatchNorm1d(2))
    state = kind((key, value) for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked"))
    seen = str(outcome(net.load_state_dict, state))
    assert '"0.num_batches_tracked"' in seen, f"expected RuntimeError, seen {seen}"


@claim("load-strict-empty-child")
@pytest.mark.parametrize("key", ["no_child.weight", "no_child.deeper.weight"])
def test_keys_of_an_empty_child(key):
    net = Stateful()
    seen = str(outcome(net.load_state_dict, {**net.state_dict(), key: torch.zeros(1)}))
    assert f'"{key}"' in seen, f"expected RuntimeError, seen {seen}"


@claim("load-strict-below-leaf")
@pytest.mark.parametrize("key", ["w.more", "seen.more", "inner.0.weight.more", "fleeting.more", "training.more"])
def test_keys_below_a_leaf(key):
    net = Stateful()
    seen = str(outcome(net.load_state_dict, {**net.state_dict(), key: torch.zeros(1)}))
    assert f'Unexpected key(s) in state_dict: "{key}".' in seen, f"expected RuntimeError, seen {seen}"


@claim("load-metadata-version")
@pytest.mark.parametrize("version", [None, 1, 2, 3])
def test_version(version):
    net = nn.Sequential(nn.BatchNorm1d(2))
    net[0].num_batches_tracked.fill_(5)
    state = net.state_dict()
    del state["0.num_batches_tracked"]
    state._metadata["0"]["version"] = version
    seen = outcome(net.load_state_dict, state)
    if version in (2, 3):
        assert '"0.num_batches_tracked"' in str(seen)
    else:
        assert repr(seen) == SUCCESS
    assert net[0].num_batches_tracked.shape == ()


@claim("load-not-a-tensor")
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("value", [[1.0], 1.0, None, np.ones(1)], ids=["list", "float", "None", "array"])
def test_no_tensor(value, strict):
    net = nn.Linear(1, 1)
    before = net.weight.item()
    bias = net.bias.detach() + 1
    message = str(outcome(net.load_state_dict, {"weight": value, "bias": bias}, strict=strict))
    assert 'While copying the parameter named "weight", expected torch.Tensor' in message
    assert net.weight.item() == before
    assert_same(net.bias.detach(), bias, what="the entry that is a tensor")


@claim("load-copy-fails")
@pytest.mark.parametrize("strict", [True, False])
def test_what_cannot_be_copied(strict):
    net = nn.Linear(2, 1)
    before = net.weight.detach().clone()
    bias = net.bias.detach() + 1
    state = {"weight": torch.zeros(1, 2, device="meta"), "bias": bias}
    message = str(outcome(net.load_state_dict, state, strict=strict))
    assert 'While copying the parameter named "weight"' in message
    assert message.count("torch.Size([1, 2])") == 2
    assert_same(net.weight.detach(), before, what="the Parameter")
    assert_same(net.bias.detach(), bias, what="the entry that can be copied")


def scalar():
    module = nn.Module()
    module.scale = nn.Parameter(torch.tensor(2.0))
    module.register_buffer("count", torch.tensor(3))
    return module


@claim("load-one-element")
def test_one_element():
    module = scalar()
    module.load_state_dict({"scale": torch.tensor([5.0]), "count": torch.tensor([7])})
    assert (module.scale.shape, module.scale.item()) == ((), 5)
    assert (module.count.shape, module.count.item()) == ((), 7)


@claim("load-no-element-of-many")
@pytest.mark.parametrize("shape", [(2,), (1, 1), (0,)], ids=str)
def test_several_elements(shape):
    module = scalar()
    message = str(outcome(module.load_state_dict, {**module.state_dict(), "scale": torch.ones(shape)}))
    assert "size mismatch for scale" in message, f"expected RuntimeError, seen {message}"
    assert module.scale.item() == 2


@claim("load-copies-before-error")
@pytest.mark.parametrize("change", ["missing", "unexpected", "size"])
def test_matching_keys_are_copied_before_the_error(change):
    net, state = Stateful(), dict(Stateful(4.0).state_dict())
    if change == "missing":
        del state["w"]
    else:
        state |= {"unexpected": {"more": torch.zeros(1)}, "size": {"w": torch.zeros(1)}}[change]
    assert "Error(s)" in str(outcome(net.load_state_dict, state))
    assert net.seen.tolist() == [4, 4]
    assert net.inner[0].weight.item() == 4
    assert net.w.unique().tolist() == [4 if change == "unexpected" else 0]
