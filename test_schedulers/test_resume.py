"""What a scheduler saves, and that training goes on from it as if it had never stopped."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from torchclaims import claim
from torchclaims.tolerance import assert_within, relative_bound

STEPS = 9


def halve(epoch):
    return 0.5**epoch


class Power:
    """A factor that is a callable object: its attributes are state."""

    def __init__(self, base):
        self.base = base

    def __call__(self, epoch):
        return self.base**epoch


def make_optimizer(*rates):
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates or (0.1, 0.75)]
    return torch.optim.SGD(groups, lr=1.0, momentum=0.9)


def rates_of(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


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


SCHEDULERS = {
    "StepLR": lambda optimizer: lr_scheduler.StepLR(optimizer, 2, 0.3),
    "MultiStepLR": lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [3, 3, 5, 8], 0.3),
    "ExponentialLR": lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.9),
    "CosineAnnealingLR": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 6, 0.01),
    "LambdaLR": lambda optimizer: lr_scheduler.LambdaLR(optimizer, halve),
    "ReduceLROnPlateau": lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, cooldown=1),
    "MultiplicativeLR": lambda optimizer: lr_scheduler.MultiplicativeLR(optimizer, halve),
    "ConstantLR": lambda optimizer: lr_scheduler.ConstantLR(optimizer, 0.3, 4),
    "LinearLR": lambda optimizer: lr_scheduler.LinearLR(optimizer, 0.3, total_iters=6),
    "PolynomialLR": lambda optimizer: lr_scheduler.PolynomialLR(optimizer, 7, 2.0),
    "CosineAnnealingWarmRestarts": lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2, 2),
    "OneCycleLR": lambda optimizer: lr_scheduler.OneCycleLR(optimizer, [0.5, 1.0], total_steps=STEPS + 1),
    "SequentialLR": warm_up_then_decay,
    "ChainedScheduler": both_at_once,
}
every_scheduler = pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS)


@claim("lr-resume")
@every_scheduler
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
def test_loading_leaves_the_saved_state_as_it_was():
    optimizer = make_optimizer()
    for make in SCHEDULERS.values():
        scheduler = make(optimizer)
        saved = pickle.loads(pickle.dumps(scheduler.state_dict()))
        scheduler.load_state_dict(saved)
        assert saved == scheduler.state_dict()


@claim("lr-last-lr")
@pytest.mark.parametrize("name", ["StepLR", "CosineAnnealingWarmRestarts", "SequentialLR", "ChainedScheduler"])
def test_last_rates_are_loaded(name):
    optimizer = make_optimizer()
    scheduler = SCHEDULERS[name](optimizer)
    for epoch in range(3):
        step(optimizer, scheduler, epoch)
    resumed = SCHEDULERS[name](make_optimizer())
    resumed.load_state_dict(scheduler.state_dict())
    assert resumed.get_last_lr() == scheduler.get_last_lr() == rates_of(optimizer)


@claim("lr-state-dict")
@every_scheduler
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
@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (lr_scheduler.StepLR, (3, 0.5)),
        (lr_scheduler.MultiStepLR, ([2, 6], 0.5)),
        (lr_scheduler.CosineAnnealingLR, (10,)),
        (lr_scheduler.LambdaLR, (halve,)),
        (lr_scheduler.ConstantLR, (0.5, 7)),
    ],
)
def test_last_epoch_goes_on_from_there(kind, arguments):
    optimizer = make_optimizer()
    initial = rates_of(optimizer)
    scheduler = kind(optimizer, *arguments)
    whole = [step(optimizer, scheduler, epoch) for epoch in range(STEPS)][4:]

    optimizer = checkpointed(whole[0], initial)
    scheduler = kind(optimizer, *arguments, last_epoch=4)
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
        (lambda optimizer: lr_scheduler.LambdaLR(optimizer, halve), [0.1, 0.75]),
        (lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2), [0.1, 0.75]),
        (lambda optimizer: lr_scheduler.ConstantLR(optimizer, 0.5), [0.001, 0.002]),
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
