"""Counter-examples to schedules that are a formula of the epoch."""

import numpy as np

from test_schedulers.common import rates
from torchclaims import claim
from torchclaims.reference import schedules
from torchclaims.search import search
from torchclaims.tolerance import assert_within, relative_bound

BASE = np.array([0.75])


@claim("lr-step", "lr-multistep", "lr-multistep-repeated", "lr-exponential", "lr-constant")
@search
def test_decay(cell, script):
    steps, gamma = script.integers(0, 12)[0], script.pick(0.5, 0.1, 1.5, 0.9)
    epochs, total = np.arange(steps + 1), script.integers(1, 9)[0]
    milestones = sorted(script.integers(1, 9, script.integers(1, 4)[0]))
    call, expected = script.pick(
        (f"StepLR(optimizer, {total}, {gamma})", schedules.step_decay(epochs, BASE, total, gamma)),
        (f"MultiStepLR(optimizer, {milestones}, {gamma})", schedules.multi_step_decay(epochs, BASE, milestones, gamma)),
        (f"ExponentialLR(optimizer, {gamma})", schedules.exponential_decay(epochs, BASE, gamma)),
        (f"ConstantLR(optimizer, {gamma / 2}, {total})", schedules.constant_start(epochs, BASE, gamma / 2, total)),
    )
    bound = relative_bound(expected, 4 * steps + 3)
    assert_within(rates(script, call, steps), expected[:, 0], bound[:, 0], what="rates", because="4 roundings a step")


@claim("lr-linear", "lr-polynomial")
@search
def test_ramps(cell, script):
    steps, total = script.integers(0, 12)[0], script.integers(1, 12)[0]
    epochs = np.arange(steps + 1)
    if script.pick(True, False):
        start, end = script.pick(0.25, 0.5, 1.0), script.pick(1.0, 0.5, 0.125)
        call = f"LinearLR(optimizer, {start}, {end}, {total})"
        expected, smallest = schedules.linear_ramp(epochs, BASE, start, end, total), min(start, end)
    else:
        power = script.pick(1.0, 2.0, 0.5, 1.5)
        call = f"PolynomialLR(optimizer, {total}, {power})"
        # What is left of 1, by an epoch over the total: the smallest share, one step before the end, loses digits.
        expected, smallest = schedules.polynomial_decay(epochs, BASE, total, power), 1 / total
    # The recursion divides by the factor of the epoch before, whose error is relative to the smallest factor.
    bound = relative_bound(np.full_like(expected, BASE.max()), 8 * (steps + 2)) / smallest
    because = "8 roundings a step, on a factor of the smallest's size"
    assert_within(rates(script, call, steps), expected[:, 0], bound[:, 0], what="rates", because=because)
