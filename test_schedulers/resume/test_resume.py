"""What a scheduler saves, and that training goes on from it as if it had never stopped."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from test_schedulers.common import every, halve, make_optimizer, rates_of
from torchclaims import claim
from torchclaims.tolerance import assert_within, relative_bound

STEPS = 9


class Power:
    """A factor that is a callable object: its attributes are state."""

    def __init__(self, base):
        self.base = base

    def __call__(self, epoch):
        return self.base**epoch


def step(optimizer, scheduler, epoch):
    optimizer.step()
    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        scheduler.step([4.0, 3.0, 3.5, 3.0, 3.25, 2.0, 2.5, 2.25, 2.0][epoch])
    else:
        scheduler.step()
    return rates_of(optimizer)


def warm_up_then_decay(optimizer):
    parts = [lr_scheduler.LinearLR(optimizer, total_iters=3), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    return lr_scheduler.SequentialLR(optimizer, parts, milestones=[4])


def both_at_once(optimizer):
    return lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(optimizer, 0.1, 4), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    )


ON_PLATEAU = partial(lr_scheduler.ReduceLROnPlateau, patience=0, cooldown=1)
BY_EPOCH = [
    partial(lr_scheduler.StepLR, step_size=2, gamma=0.3),
    partial(lr_scheduler.MultiStepLR, milestones=[3, 3, 5, 8], gamma=0.3),
    partial(lr_scheduler.ExponentialLR, gamma=0.9),
    partial(lr_scheduler.CosineAnnealingLR, T_max=6, eta_min=0.01),
    partial(lr_scheduler.LambdaLR, lr_lambda=halve),
    partial(lr_scheduler.MultiplicativeLR, lr_lambda=halve),
    partial(lr_scheduler.ConstantLR, factor=0.3, total_iters=4),
    partial(lr_scheduler.LinearLR, start_factor=0.3, total_iters=6),
    partial(lr_scheduler.PolynomialLR, total_iters=7, power=2.0),
    partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=2, T_mult=2),
    partial(lr_scheduler.OneCycleLR, max_lr=[0.5, 1.0], total_steps=STEPS + 1),
    warm_up_then_decay,
    both_at_once,
]


@claim("lr-resume")
@every(*BY_EPOCH, ON_PLATEAU)
def test_resumed_run_equals_the_uninterrupted_one(make):
    """Stopped after each epoch in turn: saved, thrown away, built anew and loaded."""
    optimizer = make_optimizer()
    scheduler = make(optimizer)
    uninterrupted = [step(optimizer, scheduler, epoch) for epoch in range(STEPS)]

    optimizer = make_optimizer()
    scheduler = make(optimizer)
    resumed = []
    for epoch in range(STEPS):
        resumed.append(step(optimizer, scheduler, epoch))
        saved = pickle.dumps((scheduler.state_dict(), optimizer.state_dict()))
        optimizer = make_optimizer(5.0, 7.0)
        scheduler = make(optimizer)
        scheduler_state, optimizer_state = pickle.loads(saved)
        scheduler.load_state_dict(scheduler_state)
        optimizer.load_state_dict(optimizer_state)
        assert rates_of(optimizer) == resumed[-1]
    assert resumed == uninterrupted


@claim("lr-resume")
@every(*BY_EPOCH, ON_PLATEAU)
def test_loading_leaves_the_saved_state_as_it_was(make):
    scheduler = make(make_optimizer())
    saved = pickle.loads(pickle.dumps(scheduler.state_dict()))
    scheduler.load_state_dict(saved)
    assert saved == scheduler.state_dict()


@claim("lr-last-lr")
@every(*BY_EPOCH)
def test_last_rates_are_loaded(make):
    optimizer = make_optimizer()
    scheduler = make(optimizer)
    for epoch in range(3):
        step(optimizer, scheduler, epoch)
    resumed = make(make_optimizer())
    resumed.load_state_dict(scheduler.state_dict())
    assert resumed.get_last_lr() == scheduler.get_last_lr() == rates_of(optimizer)


@claim("lr-state-dict")
@every(*BY_EPOCH, ON_PLATEAU)
def test_everything_but_the_optimizer_is_saved(make):
    scheduler = make(make_optimizer())
    assert set(scheduler.state_dict()) == set(vars(scheduler)) - {"optimizer"}


@claim("lr-state-dict")
def test_saved_state_counts_the_steps():
    optimizer = make_optimizer()
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    for epoch in range(3):
        step(optimizer, scheduler, epoch)
    saved = scheduler.state_dict()
    assert (saved["last_epoch"], saved["gamma"], saved["base_lrs"]) == (3, 0.5, [0.1, 0.75])


@claim("lr-lambda-not-saved")
@pytest.mark.parametrize("kind", [lr_scheduler.LambdaLR, lr_scheduler.MultiplicativeLR])
def test_functions_are_not_saved_but_objects_are(kind):
    scheduler = kind(make_optimizer(), [lambda epoch: 0.5, Power(0.25)])
    assert scheduler.state_dict()["lr_lambdas"] == [None, {"base": 0.25}]


@claim("lr-lambda-not-saved")
@pytest.mark.parametrize("kind", [lr_scheduler.LambdaLR, lr_scheduler.MultiplicativeLR])
def test_saved_attributes_stay_when_the_object_changes(kind):
    function = Power(0.25)
    saved = kind(make_optimizer(), [halve, function]).state_dict()
    function.base = 0.5
    assert saved["lr_lambdas"] == [None, {"base": 0.25}]


@claim("lr-lambda-not-saved")
@pytest.mark.parametrize("kind", [lr_scheduler.LambdaLR, lr_scheduler.MultiplicativeLR])
def test_loading_keeps_functions_and_fills_objects(kind):
    saved = kind(make_optimizer(), [halve, Power(0.25)]).state_dict()
    own_function, own_object = (lambda epoch: 0.5), Power(0.75)
    optimizer = make_optimizer()
    scheduler = kind(optimizer, [own_function, own_object])
    scheduler.load_state_dict(saved)
    assert scheduler.lr_lambdas == [own_function, own_object]
    assert own_object.base == 0.25
    assert step(optimizer, scheduler, 0) == [0.1 * 0.5, 0.75 * 0.25]


def checkpointed(rates, initial):
    """An optimizer as a checkpoint leaves it: its rates now, and those that it began with."""
    optimizer = make_optimizer(*rates)
    for group, rate in zip(optimizer.param_groups, initial, strict=True):
        group["initial_lr"] = rate
    return optimizer


# Epoch 5, where the second run begins, is none at which a rate changes by a jump.
@claim("lr-last-epoch")
@every(
    partial(lr_scheduler.StepLR, step_size=3, gamma=0.5),
    partial(lr_scheduler.MultiStepLR, milestones=[2, 6], gamma=0.5),
    partial(lr_scheduler.CosineAnnealingLR, T_max=10),
    partial(lr_scheduler.LambdaLR, lr_lambda=halve),
    partial(lr_scheduler.ConstantLR, factor=0.5, total_iters=7),
)
def test_last_epoch_goes_on_from_there(make):
    optimizer = make_optimizer()
    initial = rates_of(optimizer)
    scheduler = make(optimizer)
    whole = [step(optimizer, scheduler, epoch) for epoch in range(STEPS)][4:]

    optimizer = checkpointed(whole[0], initial)
    scheduler = make(optimizer, last_epoch=4)
    assert scheduler.last_epoch == 5
    assert scheduler.base_lrs == initial
    resumed = [rates_of(optimizer)] + [step(optimizer, scheduler, epoch) for epoch in range(5, STEPS)]
    expected = np.array(whole)
    seen = torch.tensor(resumed, dtype=torch.float64)
    assert_within(seen, expected, relative_bound(expected, 12 * STEPS), what="rate", because="12 roundings a step")


@claim("lr-last-epoch")
def test_a_fresh_scheduler_stands_at_epoch_zero():
    optimizer = make_optimizer()
    assert lr_scheduler.StepLR(optimizer, 3).last_epoch == 0
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.1, 0.75]


@claim("lr-last-epoch-needs-initial-lr")
@pytest.mark.parametrize("last_epoch", [0, 4])
def test_resuming_without_initial_rates(last_epoch):
    optimizer = make_optimizer()
    optimizer.param_groups[0]["initial_lr"] = 0.1
    with pytest.raises(KeyError, match=r"initial_lr.*param_groups\[1\]"):
        lr_scheduler.StepLR(optimizer, 3, last_epoch=last_epoch)
    assert rates_of(optimizer) == [0.1, 0.75]


@claim("lr-construction-overwrites")
@pytest.mark.parametrize(
    ("make", "overwritten"),
    [
        (partial(lr_scheduler.LambdaLR, lr_lambda=halve), [0.1, 0.75]),
        (partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=2), [0.1, 0.75]),
        (partial(lr_scheduler.ConstantLR, factor=0.5), [0.001, 0.002]),
    ],
    ids=["LambdaLR", "CosineAnnealingWarmRestarts", "ConstantLR"],
)
def test_a_scheduler_built_after_loading_overwrites_the_rates(make, overwritten):
    """The checkpoint's rates are 0.002 and 0.004, and those that it began with 0.1 and 0.75."""
    checkpoint = checkpointed((0.002, 0.004), (0.1, 0.75)).state_dict()

    optimizer = make_optimizer()
    optimizer.load_state_dict(checkpoint)
    make(optimizer)
    assert rates_of(optimizer) == overwritten

    optimizer = make_optimizer()
    make(optimizer)
    optimizer.load_state_dict(checkpoint)
    assert rates_of(optimizer) == [0.002, 0.004]
