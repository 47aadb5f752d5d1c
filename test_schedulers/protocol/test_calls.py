"""How a scheduler is built and stepped: on what, in which order, with which warnings."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from test_schedulers.common import BASE, assert_close_to_path, make_optimizer, rates_of
from torchclaims import claim
from torchclaims.reference import schedules

SIX = ["StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR", "ReduceLROnPlateau", "LambdaLR"]
OTHERS = ["MultiplicativeLR", "ConstantLR", "LinearLR", "PolynomialLR", "SequentialLR", "ChainedScheduler"]
OTHERS += ["CyclicLR", "OneCycleLR", "CosineAnnealingWarmRestarts"]
T = np.array([5, 1, 12, 0, 4])
FACTORS = [lambda epoch: 0.95**epoch, lambda epoch: 1 / (2 + epoch)]


@claim("lr-six-strategies")
def test_there_are_more_than_six():
    assert [name for name in [*SIX, *OTHERS] if name not in lr_scheduler.__all__] == []


@claim("lr-optimizer-type")
@pytest.mark.parametrize("name", ["StepLR", "ReduceLROnPlateau"])
def test_what_is_no_optimizer(name):
    options = {"step_size": 2} if name == "StepLR" else {}
    with pytest.raises(TypeError, match="is not an Optimizer"):
        getattr(lr_scheduler, name)(nn.Linear(1, 1), **options)


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


@claim("lr-step-epoch")
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (partial(lr_scheduler.StepLR, step_size=2, gamma=0.5), schedules.step_decay(T, BASE, 2, 0.5)),
        (
            partial(lr_scheduler.MultiStepLR, milestones=[4, 4, 5], gamma=0.5),
            schedules.multi_step_decay(T, BASE, [4, 4, 5], 0.5),
        ),
        (partial(lr_scheduler.ExponentialLR, gamma=0.9), schedules.exponential_decay(T, BASE, 0.9)),
        (partial(lr_scheduler.CosineAnnealingLR, T_max=8, eta_min=0.5), schedules.cosine_annealing(T, BASE, 8, 0.5)),
        (partial(lr_scheduler.ConstantLR, factor=0.25, total_iters=5), schedules.constant_start(T, BASE, 0.25, 5)),
        (
            partial(lr_scheduler.LinearLR, start_factor=0.25, end_factor=0.75, total_iters=8),
            schedules.linear_ramp(T, BASE, 0.25, 0.75, 8),
        ),
        (partial(lr_scheduler.PolynomialLR, total_iters=8, power=2.0), schedules.polynomial_decay(T, BASE, 8, 2.0)),
        (partial(lr_scheduler.LambdaLR, lr_lambda=FACTORS), schedules.scaled(T, BASE, FACTORS)),
    ],
    ids=["step", "multi-step", "exponential", "cosine", "constant", "linear", "polynomial", "lambda"],
)
def test_step_to_an_epoch(make, expected):
    optimizer = make_optimizer()
    scheduler = make(optimizer)
    optimizer.step()
    rows = []
    for epoch in T.tolist():
        with pytest.warns(UserWarning, match="epoch parameter .* deprecated"):
            scheduler.step(epoch)
        assert scheduler.last_epoch == epoch
        rows.append(rates_of(optimizer))
    assert_close_to_path(torch.tensor(rows, dtype=torch.float64), expected)


def train(order):
    """The rate that each of three updates takes, and the warnings of the order of steps."""
    optimizer = make_optimizer(1.0, momentum=0)
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
def test_scheduler_alone_warns_once():
    used, messages = train([scheduler_step])
    assert used == []
    assert len(messages) == 1


@claim("lr-order")
def test_optimizer_before_scheduler_is_silent_and_takes_every_rate():
    assert train([optimizer_step, scheduler_step]) == ([1.0, 0.5, 0.25], [])
