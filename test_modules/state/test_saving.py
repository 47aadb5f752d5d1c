"""state_dict, its hooks, and extra state."""

import io
from collections import OrderedDict

import pytest
import torch
from torch import nn

from test_modules.state.nets import KEYS, Stateful, outcome
from torchclaims import claim
from torchclaims.tolerance import assert_same


@claim("state-keys", "state-none-excluded")
def test_keys():
    net = Stateful()
    state = net.state_dict()
    assert list(state) == KEYS
    live = dict(net.named_parameters()) | dict(net.named_buffers())
    for key, value in state.items():
        assert value.data_ptr() == live[key].data_ptr(), key


@claim("state-none-excluded")
def test_none_is_left_out_with_keep_vars_too():
    net = nn.BatchNorm1d(2, affine=False, track_running_stats=False)
    assert list(net.state_dict()) == list(net.state_dict(keep_vars=True)) == []
    net = nn.Linear(2, 2)
    net.bias = None
    assert list(net.state_dict()) == ["weight"]
    assert list(Stateful().state_dict(keep_vars=True)) == KEYS


@claim("state-buffers-detached")
def test_buffers(cell):
    module = nn.Module()
    module.register_buffer("made", cell.tensor([1.0], requires_grad=True) * 2)
    saved = module.state_dict()["made"]
    assert (saved.requires_grad, saved.grad_fn) == (False, None)
    assert saved.data_ptr() == module.made.data_ptr()
    assert module.state_dict(keep_vars=True)["made"] is module.made
    assert module.state_dict(keep_vars=False)["made"].grad_fn is None


@claim("state-shallow-copy")
def test_shallow_copy(cell):
    net = cell.place(Stateful(1.0))
    state = net.state_dict()
    assert type(state) is OrderedDict
    assert state is not net.state_dict()
    state["seen"].fill_(5)
    state["w"][0, 0] = 7
    state["seen"] = cell.tensor([9.0, 9.0])
    del state["frozen"]
    state["new"] = cell.tensor([0.0])
    assert list(net.state_dict()) == KEYS
    assert net.seen.tolist() == [5, 5]
    assert net.w.tolist() == [[7, 1, 1], [1, 1, 1]]
    net.frozen = nn.Parameter(cell.tensor([3.0]))
    assert "frozen" not in state


@claim("state-prefix")
@pytest.mark.parametrize("prefix", ["", "net.", "a.b.", "glued"])
def test_prefix(prefix):
    net = Stateful()
    assert list(net.state_dict(prefix=prefix)) == [prefix + key for key in KEYS]
    assert list(net.state_dict(keep_vars=True, prefix=prefix)) == [prefix + key for key in KEYS]


@claim("state-destination")
@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_destination(kind):
    net, destination = Stateful(1.0), kind(other=3, w=4)
    assert net.state_dict(destination=destination) is destination
    assert list(destination) == ["other", *KEYS]
    assert destination["other"] == 3
    assert destination["w"].tolist() == [[1] * 3] * 2
    empty = kind()
    assert net.state_dict(destination=empty) is empty
    assert list(empty) == KEYS


@claim("state-positional")
def test_positional():
    net, destination = Stateful(), {"other": 3}
    with pytest.warns((FutureWarning, UserWarning), match="Positional args are being deprecated") as warned:
        assert net.state_dict(destination) is destination
    assert list(destination) == ["other", *KEYS]
    assert len(warned) == 1
    with pytest.warns((FutureWarning, UserWarning), match="Positional args are being deprecated"):
        state = net.state_dict(None, "p.")
    assert list(state) == [f"p.{key}" for key in KEYS]
    assert not state["p.w"].requires_grad
    with pytest.warns((FutureWarning, UserWarning), match="Positional args are being deprecated"):
        state = net.state_dict({}, "p.", True)
    assert state["p.w"] is net.w
    assert state["p.inner.0.weight"] is net.inner[0].weight


@claim("state-metadata")
def test_metadata():
    class Third(nn.Module):
        _version = 3

    net = Stateful()
    net.third = Third()
    expected = {"": 1, "inner": 1, "inner.0": 1, "inner.1": 2, "third": 3}
    versions = {path: entry["version"] for path, entry in net.state_dict()._metadata.items()}
    assert versions == expected
    versions = {path: entry["version"] for path, entry in net.state_dict(prefix="a.b.")._metadata.items()}
    assert versions == {f"a.b.{path}".rstrip("."): version for path, version in expected.items()}
    destination = OrderedDict()
    assert not hasattr(net.state_dict(destination=destination), "_metadata")


@claim("state-saved-restored")
def test_saved_and_restored(cell, rng):
    class RunningMean(nn.Module):
        def __init__(self, features, momentum=0.9):
            super().__init__()
            self.momentum = momentum
            self.register_buffer("mean", torch.zeros(features, device=cell.device.name, dtype=cell.dtype))

        def forward(self, x):
            self.mean = self.momentum * self.mean + (1.0 - self.momentum) * x
            return self.mean

    net = nn.Sequential(RunningMean(4), cell.place(nn.Linear(4, 2)), cell.place(nn.BatchNorm1d(2)))
    for _ in range(3):
        net(cell.tensor(rng.normal(size=(5, 4))))
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other = nn.Sequential(RunningMean(4), cell.place(nn.Linear(4, 2)), cell.place(nn.BatchNorm1d(2)))
    other[0].mean = torch.zeros_like(net[0].mean)
    assert repr(other.load_state_dict(torch.load(file, map_location=cell.device.name))) == SUCCESS
    assert other[2].num_batches_tracked == 3
    for (name, expected), (_, seen) in zip(net.state_dict().items(), other.state_dict().items(), strict=True):
        assert_same(seen, expected, what=name)


SUCCESS = "<All keys matched successfully>"


@claim("state-pre-hook")
def test_pre_hook():
    net, calls = Stateful(), []
    for module in (net, net.inner, net.inner[0]):
        module.register_state_dict_pre_hook(lambda *args: calls.append(args))
    net.state_dict()
    assert calls == [(net, "", False), (net.inner, "inner.", False), (net.inner[0], "inner.0.", False)]
    calls.clear()
    net.state_dict(prefix="p.", keep_vars=True)
    assert calls == [(net, "p.", True), (net.inner, "p.inner.", True), (net.inner[0], "p.inner.0.", True)]


@claim("state-pre-hook")
def test_pre_hook_runs_before_the_entries_are_made():
    net = Stateful()
    net.register_state_dict_pre_hook(lambda module, *_: setattr(module, "seen", torch.ones(2) * 8))
    net.inner.register_state_dict_pre_hook(lambda module, *_: module.register_buffer("added", torch.zeros(1)))
    state = net.state_dict()
    assert state["seen"].tolist() == [8, 8]
    assert "inner.added" in state


@claim("state-post-hook")
def test_post_hook():
    net, calls = Stateful(), []

    def hook(module, state, prefix, metadata):
        calls.append((module, prefix, dict(metadata), list(state)))

    for module in (net, net.inner, net.inner[1]):
        module.register_state_dict_post_hook(hook)
    net.state_dict(prefix="p.")
    keys = [f"p.{key}" for key in KEYS]
    assert calls == [
        (net.inner[1], "p.inner.1.", {"version": 2}, keys),
        (net.inner, "p.inner.", {"version": 1}, keys),
        (net, "p.", {"version": 1}, keys),
    ]


@claim("state-post-hook")
def test_post_hook_changes_the_dictionary():
    net = Stateful()

    def hook(module, state, prefix, metadata):
        state[f"{prefix}renamed"] = state.pop(f"{prefix}weight")
        metadata["note"] = "kept"

    net.inner[0].register_state_dict_post_hook(hook)
    state = net.state_dict()
    assert set(state) == {*KEYS, "inner.0.renamed"} - {"inner.0.weight"}
    assert state._metadata["inner.0"] == {"version": 1, "note": "kept"}
    assert list(net.inner[0].state_dict()) == ["renamed"]


@claim("state-post-hook-returns-none")
@pytest.mark.parametrize("path", ["", "inner", "inner.0"])
def test_post_hook_must_return_none(path):
    net = Stateful()
    net.get_submodule(path).register_state_dict_post_hook(lambda module, state, *_: state)
    assert outcome(net.state_dict) == "state_dict post-hook must return None"


@claim("state-hooks-removed")
def test_hooks_are_removed():
    net, calls = Stateful(), []

    def hook(name):
        return lambda *_: calls.append(name)

    register = [net.register_state_dict_pre_hook, net.register_state_dict_post_hook] * 2
    handles = [method(hook(number)) for number, method in enumerate(register)]
    net.state_dict()
    assert calls == [0, 2, 1, 3]
    handles[0].remove()
    handles[3].remove()
    calls.clear()
    net.state_dict()
    assert calls == [2, 1]


class Counting(nn.Linear):
    """Keeps and restores a count as extra state."""

    def __init__(self, count=None):
        super().__init__(1, 1)
        self.count = count
        self.set = []

    def get_extra_state(self):
        return self.count

    def set_extra_state(self, state):
        self.set.append(state)


@claim("extra-state-saved")
@pytest.mark.parametrize("extra", [7, None, {"nested": ["kind"]}, "text"], ids=repr)
def test_extra_state_is_saved(extra):
    net = nn.Sequential(Counting(extra), nn.Linear(1, 1))
    net.register_buffer("seen", torch.zeros(1))
    key = "".join(set(net.state_dict()) - {"seen", "0.weight", "0.bias", "1.weight", "1.bias"})
    assert list(net.state_dict()) == ["seen", "0.weight", "0.bias", key, "1.weight", "1.bias"]
    assert key.startswith("0.")
    assert net.state_dict()[key] is extra
    assert net.state_dict(keep_vars=True)[key] is extra


@claim("extra-state-loaded")
@pytest.mark.parametrize("strict", [True, False])
def test_extra_state_is_set(strict):
    source, target = nn.Sequential(Counting(7), Counting(None)), nn.Sequential(Counting(), Counting())
    result = target.load_state_dict(source.state_dict(), strict=strict)
    assert result == ([], [])
    assert [layer.set for layer in target] == [[7], [None]]


@claim("extra-state-missing")
def test_extra_state_is_missing():
    net = nn.Sequential(Counting(7))
    state = nn.Sequential(nn.Linear(1, 1)).state_dict()
    (key,) = set(net.state_dict()) - set(state)
    assert f'Missing key(s) in state_dict: "{key}".' in str(outcome(net.load_state_dict, state))
    assert net.load_state_dict(state, strict=False) == ([key], [])
    assert net[0].set == []


@claim("extra-state-needs-setter")
def test_getter_without_setter():
    class Getter(nn.Module):
        def get_extra_state(self):
            return 3

    net = nn.Sequential(Getter())
    (key,) = net.state_dict()
    assert f'Unexpected key(s) in state_dict: "{key}".' in str(outcome(net.load_state_dict, net.state_dict()))
    assert net.load_state_dict(net.state_dict(), strict=False) == ([], [key])
