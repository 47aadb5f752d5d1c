"""The rates that a schedule gives to groups and optimizer, and what becomes of rates set from outside."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from test_schedulers.common import every, halve, make_optimizer, rates_of, set_rates, trace
from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, relative_bound, sum_bound


def one_exponential_chained(optimizer):
    return lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(optimizer, 0.5)])


def constant_then_exponential(optimizer):
    parts = [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.5)]
    return lr_scheduler.SequentialLR(optimizer, parts, milestones=[2])


@claim("lr-groups")
@every(
    partial(lr_scheduler.StepLR, step_size=2, gamma=0.5),
    partial(lr_scheduler.MultiStepLR, milestones=[2, 3], gamma=0.5),
    partial(lr_scheduler.ExponentialLR, gamma=0.5),
    partial(lr_scheduler.CosineAnnealingLR, T_max=6),
    partial(lr_scheduler.LambdaLR, lr_lambda=halve),
    partial(lr_scheduler.MultiplicativeLR, lr_lambda=lambda epoch: 0.5),
    partial(lr_scheduler.LinearLR, start_factor=0.25),
    partial(lr_scheduler.PolynomialLR, total_iters=8),
    partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=6),
)
def test_groups_keep_their_proportion(make):
    """Rates in the proportion 1 : 4 : 16 are scaled alike; powers of two pass through every rounding."""
    rates = [0.125, 0.5, 2.0]
    seen = trace(make(make_optimizer(*rates)), 5)
    assert seen[-1, 0] != seen[0, 0], "the schedule did not move the first group"
    factors = seen / torch.tensor(rates, dtype=torch.float64)
    assert factors.tolist() == [[first] * 3 for first in factors[:, 0].tolist()]


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
@every(
    partial(lr_scheduler.StepLR, step_size=2, gamma=0.5),
    partial(lr_scheduler.LambdaLR, lr_lambda=halve),
    partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=3),
    one_exponential_chained,
    constant_then_exponential,
)
def test_last_rates_are_those_in_force(make):
    optimizer = make_optimizer()
    scheduler = make(optimizer)
    seen = []
    for _ in range(5):
        seen.append(list(scheduler.get_last_lr()))
        assert seen[-1] == rates_of(optimizer)
        optimizer.step()
        scheduler.step()
    assert seen[0] != seen[-1], "the schedule did not move"


@claim("lr-external-kept")
@pytest.mark.parametrize(
    ("make", "factor"),
    [
        (partial(lr_scheduler.StepLR, step_size=3, gamma=0.5), 0.5),
        (partial(lr_scheduler.MultiStepLR, milestones=[3, 4], gamma=0.5), 0.25),
        (partial(lr_scheduler.LinearLR, start_factor=0.5, total_iters=4), 8 / 6),
        (partial(lr_scheduler.ConstantLR, factor=0.25, total_iters=3), 4.0),
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
            set_rates(optimizer, [8.0])
        scheduler.step()
    expected = np.array([8.0 * factor])
    seen = torch.tensor(rates_of(optimizer), dtype=torch.float64)
    assert_within(seen, expected, relative_bound(expected, 16), what="rate", because="8 roundings a step")


@claim("lr-external-overwritten")
def test_a_rate_set_by_hand_is_lost():
    optimizer = make_optimizer(0.5, 1.0)
    scheduler = lr_scheduler.LambdaLR(optimizer, halve)
    optimizer.step()
    set_rates(optimizer, [0.5, 8.0])
    scheduler.step()
    assert rates_of(optimizer) == [0.25, 0.5]


@claim("lr-tensor-in-place")
@every(
    partial(lr_scheduler.StepLR, step_size=1, gamma=0.5),
    partial(lr_scheduler.ExponentialLR, gamma=0.5),
    partial(lr_scheduler.LambdaLR, lr_lambda=halve),
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
    groups = [{"params": [nn.Parameter(cell.tensor([1.0]))], "lr": cell.tensor(0.5)} for _ in range(2)]
    optimizer = torch.optim.SGD(groups)
    options, metrics = ({"step_size": 4}, ()) if name == "StepLR" else ({}, (1.0,))
    scheduler = getattr(lr_scheduler, name)(optimizer, **options)
    for _ in range(2):
        for number, group in enumerate(optimizer.param_groups):
            scheduler.get_last_lr()[number].fill_(7.0)
            assert_same(group["lr"], cell.tensor(0.5), what=f"rate of group {number}")
        optimizer.step()
        scheduler.step(*metrics)
