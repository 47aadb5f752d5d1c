"""What an optimizer saves and loads."""

import copy

import pytest
import torch
from torch import nn
from torch.optim import SGD

from torchclaims import claim
from torchclaims.tolerance import assert_same


def trained(steps=2, **options):
    """An optimizer of three parameters in two groups, and the parameters, after some steps."""
    ps = [nn.Parameter(torch.tensor(start)) for start in ([1.0], [2.0, 3.0], [4.0])]
    groups = [{"params": ps[:1], "lr": 0.25}, {"params": ps[1:]}]
    optimizer = SGD(groups, **{"lr": 0.5, "momentum": 0.5, **options})
    train(optimizer, ps, steps)
    return optimizer, ps


def train(optimizer, ps, steps):
    for _ in range(steps):
        for number, one in enumerate(ps):
            one.grad = torch.full_like(one, 1.0 + number)
        optimizer.step()


@claim("optim-state-dict")
def test_entries():
    optimizer, ps = trained(1)
    saved = optimizer.state_dict()
    assert set(saved) == {"state", "param_groups"}
    assert [group["params"] for group in saved["param_groups"]] == [[0], [1, 2]]
    assert [group["lr"] for group in saved["param_groups"]] == [0.25, 0.5]
    options = set(optimizer.param_groups[0]) - {"params"}
    assert all(set(group) == options | {"params"} for group in saved["param_groups"])
    assert list(saved["state"]) == [0, 1, 2]
    for number, one in enumerate(ps):
        assert set(saved["state"][number]) == {"momentum_buffer"}
        assert_same(saved["state"][number]["momentum_buffer"], one.grad, what="momentum")
    held = {one.data_ptr() for one in ps}
    assert not any(entry.data_ptr() in held for state in saved["state"].values() for entry in state.values())


@claim("optim-state-dict")
def test_no_state_before_the_first_step():
    optimizer, _ = trained(0)
    assert optimizer.state_dict()["state"] == {}


@claim("optim-load")
@pytest.mark.parametrize("stop", [0, 1, 3])
def test_training_goes_on(stop):
    _, expected = trained(5)
    first, ps = trained(stop)
    saved = first.state_dict()
    kept = copy.deepcopy(saved["param_groups"])
    second, others = trained(0, lr=9.0, momentum=0.75, weight_decay=0.5)
    for one, other in zip(others, ps, strict=True):
        one.data.copy_(other.data)
    second.load_state_dict(saved)
    assert [group["momentum"] for group in second.param_groups] == [0.5, 0.5]
    train(second, others, 5 - stop)
    for one, other in zip(others, expected, strict=True):
        assert_same(one.detach(), other.detach(), what="parameter")
    assert saved["param_groups"] == kept


@claim("optim-load")
def test_state_is_matched_by_order():
    first, _ = trained(1)
    ps = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(2))]
    second = SGD([{"params": [ps[0]]}, {"params": [ps[2], ps[1]]}], lr=0.5)
    second.load_state_dict(first.state_dict())
    buffers = [second.state[one]["momentum_buffer"].tolist() for one in ps]
    assert buffers == [[1.0], [3.0], [2.0, 2.0]]
    assert [group["params"][0] is one for group, one in zip(second.param_groups, (ps[0], ps[2]), strict=True)] == [
        True,
        True,
    ]


@claim("optim-load-refuses")
@pytest.mark.parametrize(
    ("sizes", "message"),
    [([1, 1, 1], "different number of parameter groups"), ([1, 1], "doesn't match the size of optimizer's group")],
    ids=["groups", "parameters"],
)
def test_another_shape_of_groups(sizes, message):
    saved = trained(1)[0].state_dict()
    groups = [{"params": [nn.Parameter(torch.zeros(1)) for _ in range(size)]} for size in sizes]
    optimizer = SGD(groups, lr=9.0)
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(saved)
    assert [group["lr"] for group in optimizer.param_groups] == [9.0] * len(sizes)
    assert dict(optimizer.state) == {}


def named(*names):
    return [(name, nn.Parameter(torch.zeros(1))) for name in names]


@claim("optim-named-parameters")
def test_names_are_saved():
    linear = nn.Linear(2, 3)
    optimizer = SGD(linear.named_parameters(), lr=0.5)
    assert [one.shape for one in optimizer.param_groups[0]["params"]] == [(3, 2), (3,)]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    assert "param_names" not in SGD(linear.parameters(), lr=0.5).state_dict()["param_groups"][0]


@claim("optim-named-parameters")
@pytest.mark.parametrize(
    "make",
    [
        lambda: [*named("a"), nn.Parameter(torch.zeros(1))],
        lambda: [{"params": named("a")}, {"params": [nn.Parameter(torch.zeros(1))]}],
    ],
    ids=["in-a-group", "in-two-groups"],
)
def test_all_or_none_are_named(make):
    with pytest.raises(ValueError, match="should be with/without names"):
        SGD(make(), lr=0.5)


@claim("optim-named-parameters")
@pytest.mark.parametrize(
    ("own", "loaded", "expected"),
    [(True, True, ["x", "y"]), (True, False, ["a", "b"]), (False, True, ["x", "y"]), (False, False, None)],
    ids=["both", "own", "loaded", "none"],
)
def test_loaded_names(own, loaded, expected):
    def make(names, momentum=0.0):
        pairs = named(*names)
        optimizer = SGD(pairs if names else [nn.Parameter(torch.zeros(1)) for _ in range(2)], lr=0.5, momentum=momentum)
        for number, one in enumerate(optimizer.param_groups[0]["params"]):
            one.grad = torch.tensor([1.0 + number])
        return optimizer

    first, second = make("xy" if loaded else "", 0.5), make("ab" if own else "")
    first.step()
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0].get("param_names") == expected
    momenta = [second.state[one]["momentum_buffer"].item() for one in second.param_groups[0]["params"]]
    assert momenta == [1.0, 2.0]


@claim("optim-state-hooks")
def test_hooks_around_saving():
    optimizer, _ = trained(1)
    log = []
    with optimizer.register_state_dict_pre_hook(lambda one: log.append(one is optimizer)):
        assert "extra" not in optimizer.state_dict()
    with optimizer.register_state_dict_post_hook(lambda one, state: {**state, "extra": one is optimizer}):
        assert optimizer.state_dict()["extra"] is True
    with optimizer.register_state_dict_post_hook(lambda one, state: log.append(len(state))):
        assert set(optimizer.state_dict()) == {"state", "param_groups"}
    assert log == [True, 2]


@claim("optim-state-hooks")
def test_hooks_around_loading():
    saved = trained(1)[0].state_dict()
    optimizer, _ = trained(0)
    log = []

    def halve(one, state):
        groups = [{**group, "lr": group["lr"] / 2} for group in state["param_groups"]]
        return {**state, "param_groups": groups}

    with optimizer.register_load_state_dict_pre_hook(halve):
        optimizer.load_state_dict(saved)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.25]
    with optimizer.register_load_state_dict_post_hook(lambda one: log.append(one.param_groups[0]["lr"])):
        optimizer.load_state_dict(saved)
    assert log == [0.25]
    optimizer.load_state_dict(saved)
    assert log == [0.25]
