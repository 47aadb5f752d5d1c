"""Schedulers made of schedulers: one after the other, and at the same time."""

import numpy as np
import pytest
from torch.optim import lr_scheduler

from test_schedulers.common import BASE, assert_traces, make_optimizer, rates_of
from torchclaims import claim
from torchclaims.reference import schedules

ROUNDINGS = 18  # a step: at most six, for each of up to three schedulers


@claim("lr-sequential")
def test_constant_then_exponential():
    """The documentation's example: a tenth for 20 epochs, then the base rate decays by 0.9."""
    optimizer = make_optimizer()
    parts = [lr_scheduler.ConstantLR(optimizer, 0.1, 20), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    scheduler = lr_scheduler.SequentialLR(optimizer, parts, milestones=[20])
    first = schedules.constant_start(np.arange(20), BASE, 0.1, 20)
    second = schedules.exponential_decay(np.arange(10), BASE, 0.9)
    assert_traces(scheduler, np.concatenate([first, second]), ROUNDINGS)


@claim("lr-sequential")
def test_three_in_a_row():
    optimizer = make_optimizer()
    parts = [
        lr_scheduler.LinearLR(optimizer, 0.25, total_iters=3),
        lr_scheduler.StepLR(optimizer, 2, 0.5),
        lr_scheduler.ExponentialLR(optimizer, 0.7),
    ]
    scheduler = lr_scheduler.SequentialLR(optimizer, parts, milestones=[3, 8])
    expected = [
        schedules.linear_ramp(np.arange(3), BASE, 0.25, 1.0, 3),
        schedules.step_decay(np.arange(5), BASE, 2, 0.5),
        schedules.exponential_decay(np.arange(4), BASE, 0.7),
    ]
    assert_traces(scheduler, np.concatenate(expected), ROUNDINGS)


@claim("lr-sequential-arguments")
@pytest.mark.parametrize("milestones", [[], [1, 2]], ids=["too-few", "too-many"])
def test_one_milestone_less_than_schedulers(milestones):
    optimizer = make_optimizer()
    parts = [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    before = rates_of(optimizer)
    with pytest.raises(ValueError, match="number of milestone"):
        lr_scheduler.SequentialLR(optimizer, parts, milestones=milestones)
    assert rates_of(optimizer) == before


@claim("lr-sequential-arguments")
def test_sequence_over_two_optimizers():
    optimizer = make_optimizer()
    parts = [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(make_optimizer(), 0.9)]
    with pytest.raises(ValueError, match="same optimizer"):
        lr_scheduler.SequentialLR(optimizer, parts, milestones=[2])


@claim("lr-chained")
def test_constant_with_exponential():
    optimizer = make_optimizer()
    parts = [lr_scheduler.ConstantLR(optimizer, 0.1, 5), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    expected = schedules.constant_start(np.arange(9), BASE, 0.1, 5) * 0.9 ** np.arange(9)[:, None]
    assert_traces(lr_scheduler.ChainedScheduler(parts), expected, ROUNDINGS)


@claim("lr-chained")
def test_three_at_once():
    optimizer = make_optimizer()
    parts = [
        lr_scheduler.StepLR(optimizer, 3, 0.5),
        lr_scheduler.MultiStepLR(optimizer, [2, 6], 0.1),
        lr_scheduler.ExponentialLR(optimizer, 0.9),
    ]
    expected = schedules.step_decay(np.arange(9), BASE, 3, 0.5)
    expected *= schedules.multi_step_decay(np.arange(9), np.ones(1), [2, 6], 0.1)
    expected *= schedules.exponential_decay(np.arange(9), np.ones(1), 0.9)
    assert_traces(lr_scheduler.ChainedScheduler(parts), expected, ROUNDINGS)


@claim("lr-chained-optimizer")
def test_chain_over_two_optimizers():
    optimizer = make_optimizer()
    parts = [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(make_optimizer(), 0.9)]
    with pytest.raises(ValueError, match="same optimizer"):
        lr_scheduler.ChainedScheduler(parts)


@claim("lr-composition-refuses")
@pytest.mark.parametrize(
    "compose",
    [
        lambda optimizer, parts: lr_scheduler.ChainedScheduler(parts, optimizer),
        lambda optimizer, parts: lr_scheduler.SequentialLR(optimizer, parts, [1] * (len(parts) - 1)),
    ],
    ids=["ChainedScheduler", "SequentialLR"],
)
def test_what_cannot_be_composed(compose):
    optimizer = make_optimizer()
    with pytest.raises(ValueError, match="at least one scheduler"):
        compose(optimizer, [])
    parts = [lr_scheduler.StepLR(optimizer, 2), lr_scheduler.ReduceLROnPlateau(optimizer)]
    with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau`"):
        compose(optimizer, parts)
