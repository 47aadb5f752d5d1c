"""Going on where a run was stopped: by last_epoch alone, for each epoch of the stop, and by the state of cycles."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from test_schedulers.common import every, halve, make_optimizer, rates_of
from torchclaims import claim
from torchclaims.tolerance import assert_within, relative_bound

STEPS = 11


def advance(scheduler, steps):
    """Rates and momentum of both groups at each epoch from here on."""
    seen = []
    for _ in range(steps):
        seen.append(
            [*rates_of(scheduler.optimizer), *(group["momentum"] for group in scheduler.optimizer.param_groups)]
        )
        scheduler.optimizer.step()
        scheduler.step()
    return seen


def assert_goes_on(make):
    """Stopped after each epoch in turn; only the optimizer is saved, and the scheduler told the epoch before."""
    whole = advance(make(make_optimizer()), STEPS)
    wrong = []
    for stop in range(1, STEPS):
        first = make(make_optimizer())
        advance(first, stop)
        optimizer = make_optimizer()
        optimizer.load_state_dict(first.optimizer.state_dict())
        second = make(optimizer, last_epoch=stop - 1)
        assert second.last_epoch == stop
        expected, seen = np.array(whole[stop:]), np.array(advance(second, STEPS - stop))
        if np.abs(seen - expected).max() > 1e-9:
            epoch, group = np.argwhere(np.abs(seen - expected) > 1e-9)[0]
            wrong.append(f"stopped at {stop}: {seen[epoch, group]:.4g} for {expected[epoch, group]:.4g}")
        else:
            bound = relative_bound(np.full_like(expected, 1.0), 40 * STEPS)
            assert_within(torch.tensor(seen), expected, bound, what="rate", because="a few roundings a step")
    assert wrong == [], "; ".join(wrong[:3])


@claim("lr-last-epoch-recursive")
@every(
    partial(lr_scheduler.LinearLR, start_factor=0.25, total_iters=6),
    partial(lr_scheduler.LinearLR, start_factor=1.0, end_factor=0.25, total_iters=4),
    partial(lr_scheduler.ExponentialLR, gamma=0.9),
    partial(lr_scheduler.PolynomialLR, total_iters=6, power=2.0),
    partial(lr_scheduler.MultiplicativeLR, lr_lambda=halve),
    partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=3, eta_min=0.01),
)
def test_recursive_schedules_go_on(make):
    assert_goes_on(make)


@claim("lr-last-epoch-cycles")
@every(
    partial(lr_scheduler.CyclicLR, base_lr=0.1, max_lr=0.5, step_size_up=2, step_size_down=3),
    partial(lr_scheduler.CyclicLR, base_lr=[0.1, 0.2], max_lr=0.5, step_size_up=2, mode="exp_range", gamma=0.9),
    partial(lr_scheduler.OneCycleLR, max_lr=[0.5, 0.25], total_steps=STEPS + 1),
    partial(lr_scheduler.OneCycleLR, max_lr=0.5, total_steps=STEPS + 1, three_phase=True, anneal_strategy="linear"),
)
def test_cycles_go_on(make):
    assert_goes_on(make)


@claim("lr-last-epoch-boundary")
@every(
    partial(lr_scheduler.StepLR, step_size=3, gamma=0.5),
    partial(lr_scheduler.MultiStepLR, milestones=[2, 5, 5], gamma=0.5),
    partial(lr_scheduler.ConstantLR, factor=0.5, total_iters=4),
)
def test_steps_go_on(make):
    assert_goes_on(make)


@claim("lr-last-epoch-restarts")
def test_growing_restarts_go_on():
    assert_goes_on(partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=2, T_mult=2))


@claim("lr-last-epoch-sequence")
def test_a_sequence_goes_on():
    def make(optimizer, last_epoch=-1):
        parts = [lr_scheduler.ConstantLR(optimizer, 0.5, 30), lr_scheduler.ExponentialLR(optimizer, 0.5)]
        return lr_scheduler.SequentialLR(optimizer, parts, [3], last_epoch=last_epoch)

    assert_goes_on(make)


class Fade:
    """A scale that is a callable object: its attributes are state."""

    def __init__(self, base):
        self.base = base

    def __call__(self, cycle):
        return self.base**cycle


CYCLE = {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 2, "step_size_down": 1}
CYCLES = {
    "triangular": {"mode": "triangular"},
    "triangular2": {"mode": "triangular2"},
    "exp_range": {"mode": "exp_range", "gamma": 0.9},
    "function": {"scale_fn": halve},
    "object": {"scale_fn": Fade(0.5)},
}


@claim("lr-load-again")
@pytest.mark.parametrize("options", CYCLES.values(), ids=CYCLES)
def test_a_state_is_loaded_twice(options):
    saved = lr_scheduler.CyclicLR(make_optimizer(), **CYCLE, **options).state_dict()
    entries = set(saved)
    for _ in range(2):
        lr_scheduler.CyclicLR(make_optimizer(), **CYCLE, **options).load_state_dict(saved)
    assert set(saved) == entries


@claim("lr-cyclic-state")
@pytest.mark.parametrize("options", CYCLES.values(), ids=CYCLES)
def test_cycles_go_on_from_their_state(options):
    whole = advance(lr_scheduler.CyclicLR(make_optimizer(), **CYCLE, **options), STEPS)
    for stop in range(STEPS):
        first = lr_scheduler.CyclicLR(make_optimizer(), **CYCLE, **options)
        advance(first, stop)
        saved, rates = pickle.dumps(first.state_dict()), first.optimizer.state_dict()
        different = {
            "base_lr": 0.3,
            "max_lr": 0.4,
            "mode": "triangular",
            "scale_fn": copy.copy(options.get("scale_fn")),
        }
        second = lr_scheduler.CyclicLR(make_optimizer(), **different)
        second.load_state_dict(pickle.loads(saved))
        second.optimizer.load_state_dict(rates)
        assert second.get_last_lr() == first.get_last_lr()
        assert advance(second, STEPS - stop) == whole[stop:]


@claim("lr-cyclic-state")
def test_a_scale_is_saved_by_its_attributes():
    by_object = lr_scheduler.CyclicLR(make_optimizer(), **CYCLE, scale_fn=Fade(0.25))
    saved = by_object.state_dict()
    assert saved["_scale_fn_custom"] == {"base": 0.25}
    own = Fade(0.75)
    second = lr_scheduler.CyclicLR(make_optimizer(), **CYCLE, scale_fn=own)
    second.load_state_dict(saved)
    assert (second.scale_fn(2), own.base) == (0.0625, 0.25)
    by_object.scale_fn(1)
    assert lr_scheduler.CyclicLR(make_optimizer(), **CYCLE, scale_fn=halve).state_dict()["_scale_fn_custom"] is None
    assert "optimizer" not in saved
