"""Counter-examples to cosines, with restarts and without, and to cyclic rates."""

import numpy as np

from test_schedulers.common import rates
from torchclaims import claim
from torchclaims.reference import schedules
from torchclaims.search import search
from torchclaims.tolerance import assert_within, relative_bound

BASE = np.array([0.75])


@claim("lr-cosine", "lr-cosine-without-restarts")
@search
def test_cosine(cell, script):
    period, steps, minimum = script.integers(1, 12)[0], script.integers(0, 30)[0], script.pick(0.0, 0.02, 0.5, 1.5)
    expected = schedules.cosine_annealing(np.arange(steps + 1), BASE, period, minimum)
    growth = 2 / (1 - np.cos(np.pi / period))
    bound = growth * relative_bound(np.full_like(expected, max(*BASE, minimum)), 6 * (steps + 1))
    seen = rates(script, f"CosineAnnealingLR(optimizer, {period}, {minimum})", steps)
    because = "6 roundings a step, magnified after the trough"
    assert_within(seen, expected[:, 0], bound[:, 0], what="rates", because=because)


@claim("lr-warm-restarts")
@search
def test_restarts(cell, script):
    first, growth = script.integers(1, 6)[0], script.integers(1, 3)[0]
    steps, minimum = script.integers(0, 40)[0], script.pick(0.0, 0.02)
    expected = schedules.cosine_warm_restarts(np.arange(steps + 1), BASE, first, growth, minimum)
    bound = relative_bound(np.full_like(expected, BASE.max()), 12)
    seen = rates(script, f"CosineAnnealingWarmRestarts(optimizer, {first}, {growth}, {minimum})", steps)
    because = "12 roundings of the largest rate"
    assert_within(seen, expected[:, 0], bound[:, 0], what="rates", because=because)


@claim("lr-cyclic")
@search
def test_triangles(cell, script):
    up, down, steps = script.integers(1, 6)[0], script.integers(1, 6)[0], script.integers(0, 30)[0]
    corners = [(0, 0.125), (up, 0.75), (up + down, 0.125)]
    expected = schedules.through(np.arange(steps + 1) % (up + down), corners)
    call = f"CyclicLR(optimizer, 0.125, 0.75, step_size_up={up}, step_size_down={down}, cycle_momentum=False)"
    # The epoch in cycles, whose whole part is taken off: its rounding is that of the number of cycles.
    bound = relative_bound(np.full_like(expected, 0.75), 12 * (steps + 1))
    assert_within(rates(script, call, steps), expected, bound, what="rates", because="12 roundings of the epoch")
