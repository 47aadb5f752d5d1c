"""How a scheduler and its optimizer work together."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, relative_bound, sum_bound

SIX = ["StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR", "ReduceLROnPlateau", "LambdaLR"]
OTHERS = ["MultiplicativeLR", "ConstantLR", "LinearLR", "PolynomialLR", "SequentialLR", "ChainedScheduler"]
OTHERS += ["CyclicLR", "OneCycleLR", "CosineAnnealingWarmRestarts"]


def make_optimizer(*rates):
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups, lr=1.0)


def rates_of(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


@claim("lr-six-strategies")
def test_there_are_more_than_six():
    assert [name for name in [*SIX, *OTHERS] if name not in lr_scheduler.__all__] == []


@claim("lr-lambda-list")
@pytest.mark.parametrize("kind", [lr_scheduler.LambdaLR, lr_scheduler.MultiplicativeLR])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_function_for_each_group(kind, count):
    optimizer = make_optimizer(0.1, 0.75)
    with pytest.raises(ValueError, match=f"Expected 2 lr_lambdas, but got {count}"):
        kind(optimizer, [lambda epoch: 0.5] * count)
    assert rates_of(optimizer) == [0.1, 0.75]


@claim("lr-optimizer-type")
@pytest.mark.parametrize("name", ["StepLR", "ReduceLROnPlateau"])
def test_what_is_no_optimizer(name):
    options = {"step_size": 2} if name == "StepLR" else {}
    with pytest.raises(TypeError, match="is not an Optimizer"):
        getattr(lr_scheduler, name)(nn.Linear(1, 1), **options)


@claim("lr-optimizer-uses-rate")
def test_each_update_takes_the_rate_of_its_epoch(cell, rng):
    """Plain SGD moves a parameter by -rate * gradient; the gradients here are constant."""
    gradients = [cell.tensor(rng.uniform(0.5, 2.0, 5)) for _ in range(2)]
    parameters = [nn.Parameter(cell.tensor(np.zeros(5))) for _ in gradients]
    groups = [{"params": [one], "lr": rate} for one, rate in zip(parameters, (0.5, 0.125), strict=True)]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    scheduler = lr_scheduler.MultiStepLR(optimizer, [1, 3], 0.25)
    moved = np.zeros((2, 5))
    for factor in (1, 0.25, 0.25, 0.0625, 0.0625):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
        scheduler.step()
        for group, rate in enumerate((0.5, 0.125)):
            moved[group] -= rate * factor * to_numpy(gradients[group])
            bound = sum_bound(cell, 5, np.abs(moved[group]), moved[group]) * 5
            assert_within(parameters[group], moved[group], bound, what="parameter", because="5 rounded updates")


@claim("lr-last-lr")
@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: lr_scheduler.StepLR(optimizer, 2, 0.5),
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch),
        lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3),
        lambda optimizer: lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(optimizer, 0.5)]),
        lambda optimizer: lr_scheduler.SequentialLR(
            optimizer, [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.5)], [2]
        ),
    ],
    ids=["StepLR", "LambdaLR", "CosineAnnealingWarmRestarts", "ChainedScheduler", "SequentialLR"],
)
def test_last_rates_are_those_in_force(make):
    optimizer = make_optimizer(0.1, 0.75)
    scheduler = make(optimizer)
    seen = []
    for _ in range(5):
        seen.append(list(scheduler.get_last_lr()))
        assert seen[-1] == rates_of(optimizer)
        optimizer.step()
        scheduler.step()
    assert seen[0] != seen[-1], "the schedule did not move"


@claim("lr-plateau-last-lr")
def test_last_rates_of_plateau():
    optimizer = make_optimizer(0.1, 0.75)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    for _ in range(3):
        scheduler.step(1.0)
        assert scheduler.get_last_lr() == rates_of(optimizer)
    assert rates_of(optimizer) != [0.1, 0.75]


@claim("lr-get-lr-warns")
def test_get_lr_from_outside_warns():
    scheduler = lr_scheduler.StepLR(make_optimizer(0.1), 1, 0.5)
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()
    assert scheduler.get_last_lr() == [0.1]


@claim("lr-get-lr-warns")
@pytest.mark.parametrize("ask", ["get_last_lr", "step"])
def test_the_right_ways_are_silent(ask):
    optimizer = make_optimizer(0.1)
    scheduler = lr_scheduler.StepLR(optimizer, 1, 0.5)
    optimizer.step()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(scheduler, ask)()
    assert caught == []


def train(order):
    """The rate that each of three updates takes, and the warnings of the order of steps."""
    optimizer = make_optimizer(1.0)
    parameter = optimizer.param_groups[0]["params"][0]
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    used = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            for what in order:
                if what is scheduler_step:
                    scheduler.step()
                    continue
                before = parameter.item()
                parameter.grad = torch.ones(1)
                optimizer.step()
                used.append(before - parameter.item())
    return used, [str(one.message) for one in caught if issubclass(one.category, UserWarning)]


optimizer_step, scheduler_step = object(), object()


@claim("lr-order")
def test_scheduler_before_optimizer_warns_once_and_skips_the_first_rate():
    used, messages = train([scheduler_step, optimizer_step])
    assert used == [0.5, 0.25, 0.125]
    assert len(messages) == 1
    assert "Detected call of `lr_scheduler.step()` before `optimizer.step()`" in messages[0]


@claim("lr-order")
def test_optimizer_before_scheduler_is_silent_and_takes_every_rate():
    assert train([optimizer_step, scheduler_step]) == ([1.0, 0.5, 0.25], [])


@claim("lr-external-kept")
@pytest.mark.parametrize(
    ("make", "factor"),
    [
        (lambda optimizer: lr_scheduler.StepLR(optimizer, 3, 0.5), 0.5),
        (lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [3, 4], 0.5), 0.25),
        (lambda optimizer: lr_scheduler.LinearLR(optimizer, 0.5, total_iters=4), 8 / 6),
        (lambda optimizer: lr_scheduler.ConstantLR(optimizer, 0.25, 3), 4.0),
    ],
    ids=["StepLR", "MultiStepLR", "LinearLR", "ConstantLR"],
)
def test_a_rate_set_by_hand_is_decayed_from_there(make, factor):
    """Steps 3 and 4 follow after the rate was set; LinearLR stands at 6/8 by then."""
    optimizer = make_optimizer(0.5)
    scheduler = make(optimizer)
    for epoch in range(4):
        optimizer.step()
        if epoch == 2:
            optimizer.param_groups[0]["lr"] = 8.0
        scheduler.step()
    expected = np.array([8.0 * factor])
    seen = torch.tensor(rates_of(optimizer), dtype=torch.float64)
    assert_within(seen, expected, relative_bound(expected, 16), what="rate", because="8 roundings a step")


@claim("lr-external-overwritten")
def test_a_rate_set_by_hand_is_lost():
    optimizer = make_optimizer(0.5, 1.0)
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    optimizer.step()
    optimizer.param_groups[1]["lr"] = 8.0
    scheduler.step()
    assert rates_of(optimizer) == [0.25, 0.5]


@claim("lr-tensor-in-place")
@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: lr_scheduler.StepLR(optimizer, 1, 0.5),
        lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.5),
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch),
    ],
    ids=["StepLR", "ExponentialLR", "LambdaLR"],
)
def test_a_tensor_stays_the_same_tensor(cell, make):
    """Rates are powers of two: exact in every dtype."""
    rate = cell.tensor(0.5)
    optimizer = torch.optim.SGD([nn.Parameter(cell.tensor([1.0]))], lr=rate)
    held = optimizer.param_groups[0]["lr"]
    scheduler = make(optimizer)
    for expected in (0.5, 0.25, 0.125):
        assert optimizer.param_groups[0]["lr"] is held
        assert_same(held, cell.tensor(expected), what="rate")
        optimizer.step()
        scheduler.step()


@claim("lr-tensor-copies")
@pytest.mark.parametrize("name", ["StepLR", "ReduceLROnPlateau"])
def test_changing_the_last_rates_does_not_change_the_optimizer(cell, name):
    optimizer = torch.optim.SGD([nn.Parameter(cell.tensor([1.0]))], lr=cell.tensor(0.5))
    options, metrics = ({"step_size": 4}, ()) if name == "StepLR" else ({}, (1.0,))
    scheduler = getattr(lr_scheduler, name)(optimizer, **options)
    for _ in range(2):
        scheduler.get_last_lr()[0].fill_(7.0)
        assert_same(optimizer.param_groups[0]["lr"], cell.tensor(0.5), what="rate")
        optimizer.step()
        scheduler.step(*metrics)
