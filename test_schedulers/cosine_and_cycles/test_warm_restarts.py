"""Annealing along a cosine, with restarts."""

import numpy as np
import pytest
from torch.optim import lr_scheduler

from test_schedulers.common import BASE, assert_close_to_path, make_optimizer, rates_of, trace
from torchclaims import claim
from torchclaims.reference import schedules


@claim("lr-warm-restarts")
@pytest.mark.parametrize(("first", "growth"), [(4, 1), (3, 2), (2, 3), (1, 2)])
def test_restarts(first, growth):
    expected = schedules.cosine_warm_restarts(np.arange(24), BASE, first, growth, 0.02)
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(make_optimizer(), first, growth, 0.02)
    assert_close_to_path(trace(scheduler, 23), expected)


@claim("lr-warm-restarts")
def test_restarts_by_default_keep_the_period_and_fall_towards_zero():
    expected = schedules.cosine_warm_restarts(np.arange(9), BASE, 4, 1, 0.0)
    assert_close_to_path(trace(lr_scheduler.CosineAnnealingWarmRestarts(make_optimizer(), 4), 8), expected)


@claim("lr-warm-restarts-epoch")
@pytest.mark.parametrize("growth", [1, 2])
def test_fractions_of_an_epoch(growth):
    epochs = [0.25, 1.5, 2.75, 3.0, 4.25, 9.0, 10.5]
    expected = schedules.cosine_warm_restarts(np.array([0.0, *epochs]), BASE, 3, growth, 0.02)
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(make_optimizer(), 3, growth, 0.02)
    assert_close_to_path(trace(scheduler, epochs), expected)


@claim("lr-warm-restarts-epoch")
@pytest.mark.parametrize("growth", [1, 2])
def test_after_a_jump_it_goes_on_from_there(growth):
    """step(26), then step(): the second is step(27)."""
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(make_optimizer(), 4, growth)
    expected = schedules.cosine_warm_restarts(np.array([0, 1, 2, 26, 27, 28]), BASE, 4, growth, 0.0)
    seen = trace(scheduler, [None, None, 26, None, None])
    assert scheduler.last_epoch == 28
    assert_close_to_path(seen, expected)


@claim("lr-warm-restarts-epoch")
def test_a_jump_back_begins_anew():
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(make_optimizer(), 4, 2)
    expected = schedules.cosine_warm_restarts(np.array([0, 26, 1.5, 2.5, 5, 6]), BASE, 4, 2, 0.0)
    seen = trace(scheduler, [26, 1.5, None, 5, None])
    assert_close_to_path(seen, expected)


@claim("lr-warm-restarts-arguments")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "positive integer T_0"), ((2.5,), "positive integer T_0"), ((2, 0), "integer T_mult >= 1")],
    ids=["zero-period", "fractional-period", "zero-growth"],
)
def test_restarts_refuse(arguments, message):
    optimizer = make_optimizer()
    with pytest.raises(ValueError, match=message):
        lr_scheduler.CosineAnnealingWarmRestarts(optimizer, *arguments)
    assert rates_of(optimizer) == BASE.tolist()
