"""load_state_dict: what it returns and refuses, what becomes of the tensors, and its hooks."""

import types
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from test_modules.state.nets import KEYS, Stateful, outcome
from torchclaims import claim
from torchclaims.tolerance import assert_same

SUCCESS = "<All keys matched successfully>"


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


def described(module):
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    return {
        name: (id(one), one.dtype, one.stride(), one.requires_grad, one.data_ptr()) for name, one in tensors.items()
    }


@claim("load-keeps-properties")
@pytest.mark.parametrize("options", [{}, {"strict": True}, {"strict": False}], ids=["default", "strict", "not strict"])
def test_properties_are_kept(options, cell, rng):
    net = cell.place(nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3)))
    with torch.no_grad():
        net[0].weight.data = net[0].weight.contiguous(memory_format=torch.channels_last)
    net[0].bias.requires_grad_(False)
    before = described(net)
    values = {key: rng.integers(1, 9, tuple(value.shape)) for key, value in net.state_dict().items()}
    state = {key: cell.tensor(value, dtype=torch.float16).requires_grad_() for key, value in values.items()}
    assert repr(net.load_state_dict(state, **options)) == SUCCESS
    assert described(net) == before
    for key, value in net.state_dict().items():
        assert_same(value, cell.tensor(values[key], dtype=value.dtype), what=key)


@claim("load-keeps-properties")
def test_copying_leaves_no_history(cell):
    net = cell.place(nn.Linear(1, 1))
    history = {key: value.clone().requires_grad_() * 2 for key, value in net.state_dict().items()}
    net.load_state_dict(history)
    assert all(parameter.is_leaf and parameter.grad_fn is None for parameter in net.parameters())


@claim("load-caller-intact")
def test_the_callers_dictionary():
    source, target = Stateful(3.0), Stateful()
    state = source.state_dict()
    metadata = {path: dict(entry) for path, entry in state._metadata.items()}
    entries = list(state.items())

    def hook(state, prefix, *_):
        state[f"{prefix}more"] = torch.zeros(1)
        state.pop(f"{prefix}w", None)

    target.load_state_dict(state)
    target._register_load_state_dict_pre_hook(hook)
    target.load_state_dict(state, strict=False)
    assert [(key, id(value)) for key, value in state.items()] == [(key, id(value)) for key, value in entries]
    assert {path: dict(entry) for path, entry in state._metadata.items()} == metadata
    with torch.no_grad():
        target.seen.fill_(8)
        target.w.fill_(8)
    assert state["seen"].tolist() == [3, 3]
    assert state["w"].unique().tolist() == [3]
    assert state["w"].requires_grad is False


def unlike(net, cell):
    """A state for ``net`` of another dtype, with other strides."""
    return {
        key: value.detach().to(torch.float16).t().contiguous().t() + 1 if value.dim() == 2 else value.half() + 1
        for key, value in net.state_dict().items()
    }


@claim("load-assign-properties")
@pytest.mark.parametrize("metadata", [True, False], ids=["state_dict", "dict"])
def test_assigned_tensors(metadata, cell):
    net = cell.place(Stateful())
    state = unlike(net, cell)
    if metadata:
        plain, state = state, net.state_dict()
        state.update(plain)
    assert repr(net.load_state_dict(state, assign=True)) == SUCCESS
    for key, value in net.state_dict().items():
        assert (value.data_ptr(), value.dtype, value.stride()) == (
            state[key].data_ptr(), torch.float16, state[key].stride(),
        )  # fmt: skip
    assert net.fleeting.dtype is cell.dtype


@claim("load-assign-requires-grad")
@pytest.mark.parametrize("live", [False, True], ids=["tensors", "parameters"])
def test_requires_grad_is_the_modules(live):
    net, source = Stateful(), Stateful(2.0)
    source.requires_grad_(False)
    source.frozen.requires_grad_()
    source.seen.requires_grad_()
    net.load_state_dict(source.state_dict(keep_vars=live), assign=True)
    assert [net.w.requires_grad, net.frozen.requires_grad, net.inner[0].weight.requires_grad] == [True, False, True]
    assert net.seen.requires_grad is live


@claim("load-assign-kinds")
def test_kinds_stay():
    net = Stateful()
    kinds = [[name for name, _ in pairs] for pairs in (net.named_parameters(), net.named_buffers())]
    net.load_state_dict({key: value.clone() for key, value in Stateful(2.0).state_dict().items()}, assign=True)
    assert [[name for name, _ in pairs] for pairs in (net.named_parameters(), net.named_buffers())] == kinds
    assert all(isinstance(parameter, nn.Parameter) and parameter.is_leaf for parameter in net.parameters())
    assert list(net.state_dict()) == KEYS
    live = Stateful(3.0)
    net.load_state_dict(live.state_dict(keep_vars=True), assign=True)
    assert net.w is live.w
    assert net.inner[0].weight is live.inner[0].weight


@claim("load-assign-refuses")
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("key", ["w", "seen", "inner.0.weight"])
def test_assign_checks_sizes(key, strict):
    net = Stateful()
    before = described(net)
    state = {**Stateful(2.0).state_dict(), key: torch.zeros(7)}
    message = str(outcome(net.load_state_dict, state, strict=strict, assign=True))
    assert f"size mismatch for {key}: " in message
    assert described(net)[key] == before[key]


@claim("load-assign-refuses")
def test_assign_checks_keys():
    net = Stateful()
    before = described(net)
    state = dict(Stateful(2.0).state_dict())
    del state["w"]
    state["more"] = torch.zeros(1)
    message = str(outcome(net.load_state_dict, state, assign=True))
    assert 'Missing key(s) in state_dict: "w".' in message
    assert 'Unexpected key(s) in state_dict: "more".' in message
    assert net.load_state_dict(state, strict=False, assign=True) == (["w"], ["more"])
    assert described(net)["w"] == before["w"]


@claim("load-assign-once")
def test_the_next_call_copies():
    source, first, second = Stateful(2.0), Stateful(), Stateful()
    state = source.state_dict()
    before = second.w
    first.load_state_dict(state, assign=True)
    assert repr(second.load_state_dict(state)) == SUCCESS
    assert second.w.tolist() == [[2] * 3] * 2
    assert first.w.data_ptr() == source.w.data_ptr()
    shares = second.w.data_ptr() == source.w.data_ptr()
    assert (second.w is before, shares) == (True, False), f"the same Parameter, memory shared with the state: {shares}"


def tied():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    return net


@claim("load-tied")
def test_tied_parameters():
    net = tied()
    weight = net[0].weight
    net.load_state_dict({"0.weight": torch.ones(2, 2), "1.weight": torch.ones(2, 2) * 3})
    assert net[0].weight is net[1].weight is weight
    assert weight.tolist() == [[3, 3], [3, 3]]
    net.load_state_dict({"1.weight": torch.ones(2, 2) * 4, "0.weight": torch.ones(2, 2) * 5})
    assert weight.tolist() == [[4, 4], [4, 4]], "the module's order counts, not the dictionary's"


@claim("load-assign-unties")
def test_assign_unties():
    net = tied()
    net.load_state_dict({"0.weight": torch.ones(2, 2), "1.weight": torch.ones(2, 2) * 3}, assign=True)
    assert net[0].weight.tolist() == [[1, 1], [1, 1]]
    assert net[1].weight.tolist() == [[3, 3], [3, 3]]
    assert len(list(net.parameters())) == 2


@claim("load-meta-noop")
def test_meta():
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(2, 1))
    state = nn.Sequential(nn.Linear(2, 1)).state_dict()
    with pytest.warns(UserWarning, match="which is a no-op.*assign=True") as warned:
        assert repr(net.load_state_dict(state)) == SUCCESS
    assert [str(one.message).partition(":")[0] for one in warned] == ["for 0.weight", "for 0.bias"]
    assert all(parameter.is_meta for parameter in net.parameters())
    net.load_state_dict(state, assign=True)
    assert_same(net[0].weight.detach(), state["0.weight"], what="the assigned weight")
    with torch.device("meta"):
        other = nn.Sequential(nn.Linear(2, 1))
    other.load_state_dict({key: value.to("meta") for key, value in state.items()})


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
