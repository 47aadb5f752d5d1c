"""What a module's tensors are after loading, copied into or, with assign=True, replaced."""

import pytest
import torch
from torch import nn

from test_modules.state.nets import KEYS, SUCCESS, Stateful, outcome
from torchclaims import claim
from torchclaims.tolerance import assert_same


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
