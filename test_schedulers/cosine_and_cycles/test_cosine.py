"""Annealing along a cosine, without restarts."""

import numpy as np
import pytest
from torch.optim import lr_scheduler

from test_schedulers.common import BASE, make_optimizer, trace
from torchclaims import claim
from torchclaims.reference import schedules
from torchclaims.tolerance import assert_within, relative_bound


def assert_anneals(period, minimum, epochs):
    """Each step of the recursion rounds up to six times.

    Where the rate rises again, an error grows with it: at most from the smallest rate after the trough to the
    largest.
    """
    expected = schedules.cosine_annealing(np.arange(epochs), BASE, period, minimum)
    growth = 2 / (1 - np.cos(np.pi / period))
    bound = growth * relative_bound(np.full_like(expected, max(*BASE, minimum)), 6 * epochs)
    rates = trace(lr_scheduler.CosineAnnealingLR(make_optimizer(), period, minimum), epochs - 1)
    assert_within(rates, expected, bound, what="rate", because="6 roundings a step, magnified after the trough")


@claim("lr-cosine")
@pytest.mark.parametrize("period", [1, 7, 12])
@pytest.mark.parametrize("minimum", [0.0, 0.02, 0.5], ids="minimum-{}".format)
def test_cosine(period, minimum):
    assert_anneals(period, minimum, epochs=period + 1)


@claim("lr-cosine")
def test_cosine_falls_to_zero_by_default():
    rates = trace(lr_scheduler.CosineAnnealingLR(make_optimizer(), 4), 4)
    assert rates[-1].tolist() == [0.0, 0.0]


@claim("lr-cosine-without-restarts")
@pytest.mark.parametrize("period", [1, 2, 5, 8])
@pytest.mark.parametrize("minimum", [0.0, 0.03], ids="minimum-{}".format)
def test_cosine_rises_again(period, minimum):
    assert_anneals(period, minimum, epochs=4 * period + 3)


@claim("lr-cosine-recursive")
@pytest.mark.parametrize("minimum", [0.0, 0.125])
@pytest.mark.parametrize("changed", [1, 3])
def test_changed_rate_goes_on_by_the_recursion(minimum, changed):
    period, rate = 8, 2.0
    scheduler = lr_scheduler.CosineAnnealingLR(make_optimizer(), period, minimum)
    trace(scheduler, changed)
    for group in scheduler.optimizer.param_groups:
        group["lr"] = rate
    rates = trace(scheduler, period - changed)
    shares = (1 + np.cos(np.pi * np.arange(changed, period + 1) / period)) / (1 + np.cos(np.pi * changed / period))
    expected = np.outer(minimum + (rate - minimum) * shares, np.ones(len(BASE)))
    bound = relative_bound(np.full_like(expected, rate), 6 * period)
    assert_within(rates, expected, bound, what="rate", because="6 roundings a step")
