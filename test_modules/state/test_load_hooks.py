"""Hooks before and after the loading of a state."""

import pytest
import torch
from torch import nn

from test_modules.state.nets import KEYS, SUCCESS, Stateful, outcome
from torchclaims import claim


@claim("load-pre-hook")
@pytest.mark.parametrize("path", ["", "inner", "inner.1"])
def test_pre_hook(path):
    net, calls = Stateful(), []
    module = net.get_submodule(path)
    module.register_load_state_dict_pre_hook(lambda *args: calls.append(args))
    state = net.state_dict()
    state["seen"].add_(1)
    net.load_state_dict(state)
    ((caller, given, prefix, metadata, strict, *lists),) = calls
    assert caller is module
    assert prefix == (f"{path}." if path else "")
    assert {key for key in given if key.startswith(prefix)} == {key for key in KEYS if key.startswith(prefix)}
    assert metadata["version"] == (2 if path == "inner.1" else 1)
    assert strict is True
    assert lists == [[], [], []]
    assert len({id(one) for one in lists}) == 3


@claim("load-pre-hook")
def test_pre_hook_renames():
    net = nn.Sequential(nn.Linear(1, 1, bias=False))
    order = []

    def rename(module, state, prefix, *_):
        order.append((module, module.weight.item()))
        if f"{prefix}kernel" in state:
            state[f"{prefix}weight"] = state.pop(f"{prefix}kernel")

    net[0].register_load_state_dict_pre_hook(rename)
    before = net[0].weight.item()
    assert repr(outcome(net.load_state_dict, {"0.kernel": torch.ones(1, 1) * 6})) == SUCCESS
    assert order == [(net[0], before)]
    assert net[0].weight.item() == 6


@claim("load-pre-hook-lists")
@pytest.mark.parametrize(("place", "text"), [(0, "Missing key(s)"), (1, "Unexpected key(s)"), (2, "")])
def test_pre_hook_adds_errors(place, text):
    net = Stateful()
    net.inner.register_load_state_dict_pre_hook(lambda *args: args[5 + place].append("told by the hook"))
    message = str(outcome(net.load_state_dict, net.state_dict()))
    assert text in message
    assert "told by the hook" in message
    assert message.count("(s)") == (2 if text else 1)


@claim("load-post-hook")
def test_post_hook():
    net, calls = Stateful(), []

    def hook(module, keys):
        calls.append((module, list(keys.missing_keys), list(keys.unexpected_keys), net.inner[0].weight.item()))

    for module in (net, net.inner, net.inner[0]):
        module.register_load_state_dict_post_hook(hook)
    state = dict(Stateful(5.0).state_dict())
    del state["w"], state["inner.1.running_mean"]
    state["inner.more"] = torch.zeros(1)
    net.load_state_dict(state, strict=False)
    assert calls == [
        (net.inner[0], ["w"], ["inner.more"], 5),
        (net.inner, ["w", "inner.1.running_mean"], ["inner.more"], 5),
        (net, ["w", "inner.1.running_mean"], ["inner.more"], 5),
    ]


@claim("load-post-hook-decides")
@pytest.mark.parametrize("which", ["missing_keys", "unexpected_keys"])
def test_post_hook_adds_keys(which):
    net = Stateful()
    net.inner.register_load_state_dict_post_hook(lambda module, keys: getattr(keys, which).append("told"))
    word = which.partition("_")[0].capitalize()
    assert f'{word} key(s) in state_dict: "told".' in str(outcome(net.load_state_dict, net.state_dict()))
    assert getattr(net.load_state_dict(net.state_dict(), strict=False), which) == ["told"]


@claim("load-post-hook-decides")
def test_post_hook_clears_keys():
    net = Stateful()

    def clear(module, keys):
        keys.missing_keys.clear()
        keys.unexpected_keys.clear()

    handle = net.register_load_state_dict_post_hook(clear)
    assert repr(outcome(net.load_state_dict, {"more": torch.zeros(1)})) == SUCCESS
    handle.remove()
    assert "Missing key(s)" in str(outcome(net.load_state_dict, {"more": torch.zeros(1)}))


@claim("load-hooks-removed")
def test_hooks_are_removed():
    net, calls = Stateful(), []

    def hook(name):
        return lambda *_: calls.append(name)

    register = [net.register_load_state_dict_pre_hook, net.register_load_state_dict_post_hook] * 2
    handles = [method(hook(number)) for number, method in enumerate(register)]
    net.load_state_dict(net.state_dict())
    assert calls == [0, 2, 1, 3]
    handles[0].remove()
    handles[3].remove()
    calls.clear()
    net.load_state_dict(net.state_dict())
    assert calls == [2, 1]
