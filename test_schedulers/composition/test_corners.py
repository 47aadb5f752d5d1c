"""Schedulers made of schedulers: nested, from epoch 0, in any kind and order."""

from functools import partial

import numpy as np
import pytest
from torch import nn
from torch.optim import lr_scheduler

from test_schedulers.common import BASE, assert_close_to_path, assert_traces, halve, make_optimizer, rates_of, trace
from torchclaims import claim
from torchclaims.reference import schedules


def in_sequence(optimizer):
    parts = [lr_scheduler.ConstantLR(optimizer, 0.5, 30), lr_scheduler.ExponentialLR(optimizer, 0.5)]
    return lr_scheduler.SequentialLR(optimizer, parts, [2])


def chained(optimizer):
    return lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(optimizer, 0.5)])


COMPOSED = pytest.mark.parametrize("make", [in_sequence, chained], ids=["SequentialLR", "ChainedScheduler"])


# Construction steps what is nested, for which PyTorch warns of the order of steps.
@claim("lr-sequential-nested")
@pytest.mark.filterwarnings("ignore:Detected call of")
@COMPOSED
def test_a_sequence_of_one(make):
    expected = trace(make(make_optimizer(0.5)), 5)[:, 0].tolist()
    optimizer = make_optimizer(0.5)
    seen = trace(lr_scheduler.SequentialLR(optimizer, [make(optimizer)], []), 5)[:, 0].tolist()
    assert seen == expected, f"rates {seen[:3]} for {expected[:3]}"


@claim("lr-sequential-nested-later")
@pytest.mark.filterwarnings("ignore:Detected call of")
@COMPOSED
def test_nested_in_second_place(make):
    expected = [0.25] * 3 + trace(make(make_optimizer(0.5)), 3)[:, 0].tolist()
    optimizer = make_optimizer(0.5)
    parts = [lr_scheduler.ConstantLR(optimizer, 0.5, 30), make(optimizer)]
    seen = trace(lr_scheduler.SequentialLR(optimizer, parts, [3]), 6)[:, 0].tolist()
    assert seen == expected, f"rates {seen} for {expected}"


@claim("lr-sequential-epochs")
def test_a_milestone_of_zero():
    optimizer = make_optimizer()
    parts = [lr_scheduler.ConstantLR(optimizer, 0.1), lr_scheduler.ExponentialLR(optimizer, 0.5)]
    scheduler = lr_scheduler.SequentialLR(optimizer, parts, [0])
    assert scheduler.get_last_lr() == rates_of(optimizer) == BASE.tolist()
    assert_traces(scheduler, schedules.exponential_decay(np.arange(4), BASE, 0.5), 18)


@claim("lr-sequential-epochs")
def test_a_sequence_of_one_scheduler():
    optimizer = make_optimizer()
    scheduler = lr_scheduler.SequentialLR(optimizer, [lr_scheduler.ExponentialLR(optimizer, 0.5)], [])
    assert scheduler.last_epoch == 0
    assert_traces(scheduler, schedules.exponential_decay(np.arange(4), BASE, 0.5), 18)
    assert scheduler.last_epoch == 3


SECOND = {
    "StepLR": (partial(lr_scheduler.StepLR, step_size=2, gamma=0.5), schedules.step_decay, (2, 0.5)),
    "MultiStepLR": (
        partial(lr_scheduler.MultiStepLR, milestones=[1, 3], gamma=0.5),
        schedules.multi_step_decay,
        ([1, 3], 0.5),
    ),
    "LambdaLR": (partial(lr_scheduler.LambdaLR, lr_lambda=halve), schedules.scaled, ([halve, halve],)),
    "ConstantLR": (partial(lr_scheduler.ConstantLR, factor=0.5, total_iters=2), schedules.constant_start, (0.5, 2)),
    "LinearLR": (
        partial(lr_scheduler.LinearLR, start_factor=0.5, total_iters=4),
        schedules.linear_ramp,
        (0.5, 1.0, 4),
    ),
    "PolynomialLR": (
        partial(lr_scheduler.PolynomialLR, total_iters=8, power=2.0),
        schedules.polynomial_decay,
        (8, 2.0),
    ),
    "CosineAnnealingLR": (partial(lr_scheduler.CosineAnnealingLR, T_max=9), schedules.cosine_annealing, (9, 0.0)),
    "CosineAnnealingWarmRestarts": (
        partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=2, T_mult=2),
        schedules.cosine_warm_restarts,
        (2, 2, 0.0),
    ),
}


@claim("lr-sequential-epochs")
@pytest.mark.parametrize(("make", "formula", "arguments"), SECOND.values(), ids=SECOND)
def test_any_scheduler_in_second_place(make, formula, arguments):
    optimizer = make_optimizer()
    parts = [lr_scheduler.ConstantLR(optimizer, 0.25, 30), make(optimizer)]
    scheduler = lr_scheduler.SequentialLR(optimizer, parts, [3])
    expected = np.concatenate([np.outer(np.full(3, 0.25), BASE), formula(np.arange(6), BASE, *arguments)])
    assert_close_to_path(trace(scheduler, 8), expected, 24 * 8)
    assert [part.last_epoch for part in parts] == [2, 5]
    assert scheduler.last_epoch == 8
    assert scheduler.get_last_lr() == rates_of(optimizer)


@claim("lr-sequential-epochs")
def test_cycles_in_second_place():
    optimizer = make_optimizer(0.5)
    parts = [lr_scheduler.ConstantLR(optimizer, 0.25, 30), lr_scheduler.CyclicLR(optimizer, 0.125, 0.625, 2)]
    seen = trace(lr_scheduler.SequentialLR(optimizer, parts, [2]), 6)
    assert_close_to_path(seen, np.array([[0.125, 0.125, 0.125, 0.375, 0.625, 0.375, 0.125]]).T)


@claim("lr-composition-types")
def test_what_is_no_scheduler():
    optimizer = make_optimizer()
    parts = [lr_scheduler.StepLR(optimizer, 2), nn.Linear(1, 1)]
    with pytest.raises(TypeError, match="SequentialLR at index 1 should have `optimizer`"):
        lr_scheduler.SequentialLR(optimizer, parts, [2])
    with pytest.raises(TypeError, match="ChainedScheduler at index 1 should have `optimizer`"):
        lr_scheduler.ChainedScheduler(parts, optimizer)
    with pytest.raises(TypeError, match="ChainedScheduler at index 0 should have `optimizer`"):
        lr_scheduler.ChainedScheduler(parts[1:], optimizer)


@claim("lr-chained-optimizer")
def test_the_optimizer_of_a_chain():
    optimizer = make_optimizer()
    parts = [lr_scheduler.StepLR(optimizer, 2)]
    assert lr_scheduler.ChainedScheduler(parts).optimizer is optimizer


@claim("lr-composition-types")
def test_a_chain_is_given_another_optimizer():
    with pytest.raises(ValueError, match=r"(?s)StepLR at index 0 .*different from SGD|index 0|same optimizer"):
        lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(make_optimizer(), 2)], make_optimizer())


@claim("lr-sequential-arguments")
def test_a_sequence_names_the_scheduler_of_another_optimizer():
    optimizer = make_optimizer()
    parts = [lr_scheduler.StepLR(optimizer, 2), lr_scheduler.StepLR(make_optimizer(), 2)]
    before = rates_of(optimizer)
    with pytest.raises(ValueError, match=r"index 1|same optimizer"):
        lr_scheduler.SequentialLR(optimizer, parts, [2])
    assert rates_of(optimizer) == before


KINDS = [
    partial(lr_scheduler.StepLR, step_size=2, gamma=0.5),
    partial(lr_scheduler.LinearLR, start_factor=0.5, total_iters=4),
    partial(lr_scheduler.PolynomialLR, total_iters=20),
    partial(lr_scheduler.MultiplicativeLR, lr_lambda=halve),
]


@claim("lr-chained-back-to-back")
@pytest.mark.parametrize("count", [1, 2, 4])
def test_one_step_for_all(count):
    one_by_one = make_optimizer()
    parts = [make(one_by_one) for make in KINDS[:count]]
    expected = [rates_of(one_by_one)]
    one_by_one.step()
    for _ in range(6):
        for part in parts:
            part.step()
        expected.append(rates_of(one_by_one))
    optimizer = make_optimizer()
    scheduler = lr_scheduler.ChainedScheduler([make(optimizer) for make in KINDS[:count]])
    seen = [scheduler.get_last_lr()]
    optimizer.step()
    for _ in range(6):
        scheduler.step()
        assert scheduler.get_last_lr() == rates_of(optimizer)
        seen.append(scheduler.get_last_lr())
    assert seen == expected


@claim("lr-composition-state")
@COMPOSED
def test_states_of_the_parts(make):
    optimizer = make_optimizer()
    scheduler = make(optimizer)
    trace(scheduler, 3)
    saved = scheduler.state_dict()
    assert saved["_schedulers"] == [part.state_dict() for part in scheduler._schedulers]
    assert set(saved) == set(vars(scheduler)) - {"optimizer"}
    assert scheduler.optimizer is optimizer
    fresh = make(make_optimizer())
    fresh.load_state_dict(saved)
    assert [part.last_epoch for part in fresh._schedulers] == [part.last_epoch for part in scheduler._schedulers]
    assert fresh.get_last_lr() == scheduler.get_last_lr()
    assert "_schedulers" in saved, "loading takes nothing out of the state"
