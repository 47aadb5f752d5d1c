"""Parameter groups, gradients, closures and hooks."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

from torchclaims import claim
from torchclaims.reference.optimisers import sgd
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, gamma, rounding_unit


def parameter(*values):
    return nn.Parameter(torch.tensor(values or (1.0, 2.0)))


def with_gradients(*parameters, value=1.0):
    for one in parameters:
        one.grad = torch.full_like(one, value)


@claim("optim-group-options")
def test_options_of_groups():
    a, b, c = parameter(), parameter(), parameter()
    groups = [{"params": [a], "lr": 0.25}, {"params": iter([b, c]), "momentum": 0.75, "nesterov": True}]
    first, second = SGD(groups, lr=0.5, momentum=0.5, weight_decay=0.125).param_groups
    assert [(g["lr"], g["momentum"], g["nesterov"]) for g in (first, second)] == [(0.25, 0.5, False), (0.5, 0.75, True)]
    assert [(g["weight_decay"], g["dampening"]) for g in (first, second)] == [(0.125, 0), (0.125, 0)]
    assert first["params"][0] is a
    assert [one is other for one, other in zip(second["params"], (b, c), strict=True)] == [True, True]


@claim("optim-group-options")
@pytest.mark.parametrize("give", [lambda ps: ps, tuple, iter], ids=["list", "tuple", "iterator"])
def test_parameters_alone_are_one_group(give):
    ps = [parameter(), parameter()]
    (group,) = SGD(give(ps), lr=0.5).param_groups
    assert [id(one) for one in group["params"]] == [id(one) for one in ps]
    assert group["lr"] == 0.5


@claim("optim-group-updates")
def test_groups_are_updated_by_their_own_options(cell, rng):
    ps = [nn.Parameter(cell.tensor(rng.normal(1, 1, 3))) for _ in range(3)]
    start = [to_numpy(one) for one in ps]
    options = [{"lr": 0.25}, {"weight_decay": 0.0}, {"lr": 0.125, "weight_decay": 0.5}]
    defaults = {"lr": 0.5, "weight_decay": 0.25}
    optimizer = SGD([{"params": [one], **more} for one, more in zip(ps, options, strict=True)], **defaults)
    grads = [cell.tensor(rng.normal(size=3)) for _ in ps]
    for one, grad in zip(ps, grads, strict=True):
        one.grad = grad
    optimizer.step()
    for index, one in enumerate(ps):
        gradient = to_numpy(grads[index])
        (expected,) = sgd(start[index], [gradient], **{**defaults, **options[index]})
        bound = gamma(6, rounding_unit(cell.dtype)) * (np.abs(start[index]) * 2 + np.abs(gradient))
        assert_within(one, expected, bound, what=f"group {index}", because="two multiplications and two sums")


@claim("optim-dup-params")
def test_a_parameter_in_two_groups():
    a, b = parameter(), parameter()
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        SGD([{"params": [a, b]}, {"params": [b]}], lr=0.5)
    optimizer = SGD([a], lr=0.5)
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        optimizer.add_param_group({"params": [b, a]})
    assert len(optimizer.param_groups) == 1


@claim("optim-dup-params")
def test_a_parameter_twice_in_a_group():
    a = parameter()
    with pytest.warns(UserWarning, match="parameter group with duplicate parameters"):
        optimizer = SGD([a, a], lr=0.5)
    assert len(optimizer.param_groups[0]["params"]) == 2


BAD = {
    "nothing": (lambda: [], {}, ValueError, "empty parameter list"),
    "a tensor": (lambda: parameter(), {}, TypeError, "should be an iterable of Tensors or dicts"),
    "a number": (lambda: [1.0], {}, TypeError, "can only optimize Tensors, but one of the params is float"),
    "no leaf": (lambda: [parameter() * 2], {}, ValueError, "non-leaf"),
    "a set": (lambda: [{"params": {parameter()}}], {}, TypeError, "ordered collections"),
    "negative rate": (lambda: [parameter()], {"lr": -0.5}, ValueError, "Invalid learning rate: -0.5"),
    "negative momentum": (lambda: [parameter()], {"momentum": -0.5}, ValueError, "Invalid momentum value: -0.5"),
    "negative decay": (lambda: [parameter()], {"weight_decay": -0.5}, ValueError, "Invalid weight_decay value: -0.5"),
    "Nesterov alone": (lambda: [parameter()], {"nesterov": True}, ValueError, "Nesterov momentum requires a momentum"),
    "Nesterov dampened": (
        lambda: [parameter()],
        {"nesterov": True, "momentum": 0.5, "dampening": 0.5},
        ValueError,
        "zero dampening",
    ),
}


@claim("optim-what-is-optimised")
@pytest.mark.parametrize(("params", "options", "error", "message"), BAD.values(), ids=BAD)
def test_refused(params, options, error, message):
    with pytest.raises(error, match=message):
        SGD(params(), **{"lr": 0.5, **options})


@claim("optim-what-is-optimised")
def test_what_may_be_zero():
    (group,) = SGD([parameter()], lr=0.0, momentum=0.0, weight_decay=0.0).param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.0, 0.0, 0.0)


@claim("optim-add-param-group")
@pytest.mark.parametrize("alone", [True, False], ids=["tensor", "list"])
def test_a_group_added_in_training(alone):
    a, b = parameter(1.0), parameter(8.0)
    optimizer = SGD([a], lr=0.5, momentum=0.5)
    with_gradients(a)
    optimizer.step()
    optimizer.add_param_group({"params": b if alone else [b], "lr": 0.25})
    group = optimizer.param_groups[1]
    assert (group["lr"], group["momentum"], len(group["params"])) == (0.25, 0.5, 1)
    assert group["params"][0] is b
    for _ in range(2):
        with_gradients(a, b)
        optimizer.step()
    assert a.item() == 1.0 - 0.5 * (1 + 1.5 + 1.75)
    assert b.item() == 8.0 - 0.25 * (1 + 1.5)


@claim("optim-add-param-group")
def test_a_group_is_a_dict():
    optimizer = SGD([parameter()], lr=0.5)
    with pytest.raises((TypeError, AssertionError), match="must be a dict"):
        optimizer.add_param_group([parameter()])
    assert len(optimizer.param_groups) == 1


@claim("optim-zero-grad")
def test_gradients_become_none():
    a, b, c, other = (parameter() for _ in range(4))
    with_gradients(a, b, other)
    SGD([{"params": [a]}, {"params": [b, c]}], lr=0.5).zero_grad()
    assert (a.grad, b.grad, c.grad) == (None, None, None)
    assert other.grad is not None


@claim("optim-zero-grad")
def test_gradients_become_zero():
    a, b, c, other = (parameter() for _ in range(4))
    with_gradients(a, other)
    b.grad = (parameter() * 2).sum() * torch.ones(2)
    held = a.grad, b.grad
    assert b.grad.grad_fn is not None
    SGD([{"params": [a]}, {"params": [b, c]}], lr=0.5).zero_grad(set_to_none=False)
    assert (a.grad is held[0], b.grad is held[1], c.grad) == (True, True, None)
    for one in (a.grad, b.grad):
        assert_same(one, torch.zeros(2), what="gradient")
        assert one.grad_fn is None
        assert not one.requires_grad
    assert other.grad.tolist() == [1.0, 1.0]


@claim("optim-none-gradient")
@pytest.mark.parametrize("options", [{"momentum": 0.5}, {"weight_decay": 0.5}], ids=["momentum", "weight-decay"])
def test_none_is_not_zero(cell, options):
    ends = {}
    for kind in ("none", "zero"):
        p = nn.Parameter(cell.tensor([4.0]))
        optimizer = SGD([p], lr=0.5, **options)
        p.grad = cell.tensor([1.0])
        optimizer.step()
        after = p.item()
        optimizer.zero_grad(set_to_none=kind == "none")
        optimizer.step()
        ends[kind] = (after, p.item())
    expected = sgd(np.array([4.0]), [np.array([1.0]), np.array([0.0])], 0.5, **options)
    assert ends["none"] == (expected[0].item(),) * 2
    assert ends["zero"] == (expected[0].item(), expected[1].item())


@claim("optim-none-after-backward")
def test_who_took_no_part():
    used, unused = parameter(), parameter()
    optimizer = SGD([used, unused], lr=0.5)
    with_gradients(used, unused)
    optimizer.zero_grad()
    (used * 3).sum().backward()
    assert used.grad.tolist() == [3.0, 3.0]
    assert unused.grad is None


@claim("optim-closure")
@pytest.mark.parametrize("recording", [True, False], ids=["grad", "no_grad"])
def test_a_closure(recording):
    p = parameter(3.0)
    optimizer = SGD([p], lr=0.25)
    seen = []

    def closure():
        seen.append((torch.is_grad_enabled(), p.item()))
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with torch.set_grad_enabled(recording):
        loss = optimizer.step(closure)
        assert torch.is_grad_enabled() == recording
    assert seen == [(True, 3.0)]
    assert loss.item() == 9.0
    assert p.item() == 3.0 - 0.25 * 6.0
    assert p.is_leaf
    assert p.grad_fn is None


@claim("optim-closure")
def test_without_a_closure():
    p = parameter(3.0)
    with_gradients(p)
    assert SGD([p], lr=0.25).step() is None
    assert (p.item(), p.is_leaf, p.requires_grad) == (2.75, True, True)


@claim("optim-step-hooks")
def test_hooks_around_a_step():
    p, log = parameter(1.0), []
    optimizer = SGD([p], lr=0.5)
    handles = [
        optimizer.register_step_pre_hook(lambda one, args, kwargs: log.append(("before", one is optimizer, p.item()))),
        optimizer.register_step_pre_hook(lambda one, args, kwargs: log.append(("second", args, kwargs))),
        optimizer.register_step_post_hook(lambda one, args, kwargs: log.append(("after", one is optimizer, p.item()))),
    ]
    with_gradients(p)
    optimizer.step()
    assert [entry[0] for entry in log] == ["before", "second", "after"]
    assert (log[0][1:], log[2][1:]) == ((True, 1.0), (True, 0.5))
    assert log[1][2] == {}
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(log) == 3
    assert p.item() == 0.0


@claim("optim-step-hooks")
def test_a_hook_replaces_the_arguments():
    optimizer = SGD([parameter()], lr=0.5)

    def replace(one, args, kwargs):
        return (one,) if args and args[0] is one else (), {"closure": lambda: 7.0}

    with optimizer.register_step_pre_hook(replace):
        assert optimizer.step() == 7.0
    assert optimizer.step() is None
