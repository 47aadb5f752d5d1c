"""Schedules that rise and fall: warm restarts, the one-cycle policy, and cyclic rates."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from torchclaims import claim
from torchclaims.reference import schedules
from torchclaims.tolerance import assert_within, relative_bound

BASE = np.array([0.1, 0.75])


@pytest.fixture
def optimizer():
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in BASE.tolist()]
    return torch.optim.SGD(groups, lr=1.0, momentum=0.5)


def trace(optimizer, scheduler, steps, key="lr"):
    """The groups' rates (or momenta) at construction and after each step, a row for each epoch."""
    rows = [[group[key] for group in optimizer.param_groups]]
    optimizer.step()
    for step in range(steps) if isinstance(steps, int) else steps:
        scheduler.step(*([] if isinstance(steps, int) else [step]))
        rows.append([group[key] for group in optimizer.param_groups])
    return torch.tensor(rows, dtype=torch.float64)


def assert_close_to_path(seen, expected, roundings=12):
    """Sums of terms no larger than the largest value of the path."""
    bound = relative_bound(np.full_like(expected, np.abs(expected).max()), roundings)
    assert_within(seen, expected, bound, what="path", because=f"{roundings} roundings of the largest value")


@claim("lr-warm-restarts")
@pytest.mark.parametrize(("first", "growth"), [(4, 1), (3, 2), (2, 3), (1, 2)])
def test_restarts(optimizer, first, growth):
    expected = schedules.cosine_warm_restarts(np.arange(24), BASE, first, growth, 0.02)
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, first, growth, 0.02)
    assert_close_to_path(trace(optimizer, scheduler, 23), expected)


@claim("lr-warm-restarts")
def test_restarts_by_default_keep_the_period_and_fall_towards_zero(optimizer):
    expected = schedules.cosine_warm_restarts(np.arange(9), BASE, 4, 1, 0.0)
    assert_close_to_path(trace(optimizer, lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 4), 8), expected)


@claim("lr-warm-restarts-epoch")
@pytest.mark.parametrize("growth", [1, 2])
def test_fractions_of_an_epoch(optimizer, growth):
    epochs = [0.25, 1.5, 2.75, 3.0, 4.25, 9.0, 10.5]
    expected = schedules.cosine_warm_restarts(np.array([0.0, *epochs]), BASE, 3, growth, 0.02)
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3, growth, 0.02)
    assert_close_to_path(trace(optimizer, scheduler, epochs), expected)


@claim("lr-warm-restarts-epoch")
@pytest.mark.parametrize("growth", [1, 2])
def test_after_a_jump_it_goes_on_from_there(optimizer, growth):
    """step(26), then step(): the second is step(27)."""
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 4, growth)
    expected = schedules.cosine_warm_restarts(np.array([0, 1, 2, 26, 27, 28]), BASE, 4, growth, 0.0)
    seen = trace(optimizer, scheduler, [None, None, 26, None, None])
    assert scheduler.last_epoch == 28
    assert_close_to_path(seen, expected)


@claim("lr-warm-restarts-epoch")
def test_a_jump_back_begins_anew(optimizer):
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 4, 2)
    expected = schedules.cosine_warm_restarts(np.array([0, 26, 1.5, 2.5, 5, 6]), BASE, 4, 2, 0.0)
    seen = trace(optimizer, scheduler, [26, 1.5, 2.5, 5, None])
    assert_close_to_path(seen, expected)


@claim("lr-warm-restarts-arguments")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "positive integer T_0"), ((2.5,), "positive integer T_0"), ((2, 0), "integer T_mult >= 1")],
    ids=["zero-period", "fractional-period", "zero-growth"],
)
def test_restarts_refuse(optimizer, arguments, message):
    with pytest.raises(ValueError, match=message):
        lr_scheduler.CosineAnnealingWarmRestarts(optimizer, *arguments)
    assert [group["lr"] for group in optimizer.param_groups] == BASE.tolist()


# Of 16 steps a quarter rises: the peak is the fourth, epoch 3; the last step, epoch 15, takes the minimum.
ONE_CYCLE = {
    "max_lr": [0.8, 1.6],
    "total_steps": 16,
    "pct_start": 0.25,
    "div_factor": 4,
    "final_div_factor": 8,
}
PEAK, END = 3, 15
CURVES = {"cos": schedules.half_cosine, "linear": schedules.straight}


@claim("lr-onecycle")
@pytest.mark.parametrize("anneal", CURVES)
def test_one_cycle(optimizer, anneal):
    path = schedules.through(np.arange(16), [(0, 0.2), (PEAK, 0.8), (END, 0.025)], CURVES[anneal])
    scheduler = lr_scheduler.OneCycleLR(optimizer, anneal_strategy=anneal, **ONE_CYCLE)
    assert_close_to_path(trace(optimizer, scheduler, END), np.outer(path, [1, 2]))


@claim("lr-onecycle")
def test_one_cycle_by_default(optimizer):
    """Three tenths rise, from a 25th of the largest rate; the smallest is a ten-thousandth of the first."""
    path = schedules.through(np.arange(10), [(0, 0.02), (2, 0.5), (9, 0.02e-4)], schedules.half_cosine)
    seen = trace(optimizer, lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=10), 9)
    assert_close_to_path(seen, np.outer(path, [1, 1]))


@claim("lr-onecycle")
def test_total_steps_from_epochs(optimizer):
    options = {**ONE_CYCLE, "total_steps": None, "epochs": 2, "steps_per_epoch": 8}
    seen = trace(optimizer, lr_scheduler.OneCycleLR(optimizer, anneal_strategy="linear", **options), END)
    path = schedules.through(np.arange(16), [(0, 0.2), (PEAK, 0.8), (END, 0.025)])
    assert_close_to_path(seen, np.outer(path, [1, 2]))


@claim("lr-onecycle-three-phases")
@pytest.mark.parametrize("anneal", CURVES)
def test_three_phases(optimizer, anneal):
    """The fall back to the first rate mirrors the rise; what is left goes down to the minimum."""
    corners = [(0, 0.2), (PEAK, 0.8), (2 * PEAK, 0.2), (END, 0.025)]
    path = schedules.through(np.arange(16), corners, CURVES[anneal])
    scheduler = lr_scheduler.OneCycleLR(optimizer, anneal_strategy=anneal, three_phase=True, **ONE_CYCLE)
    assert_close_to_path(trace(optimizer, scheduler, END), np.outer(path, [1, 2]))


@claim("lr-onecycle-momentum")
@pytest.mark.parametrize("three_phase", [False, True], ids=["two-phases", "three-phases"])
def test_one_cycle_momentum(optimizer, three_phase):
    corners = [(0, 0.95), (PEAK, 0.85), *([(2 * PEAK, 0.95)] if three_phase else []), (END, 0.95)]
    path = schedules.through(np.arange(16), corners, schedules.half_cosine)
    scheduler = lr_scheduler.OneCycleLR(optimizer, three_phase=three_phase, **ONE_CYCLE)
    assert_close_to_path(trace(optimizer, scheduler, END, "momentum"), np.outer(path, [1, 1]))


@claim("lr-onecycle-momentum")
def test_one_cycle_leaves_momentum_alone_when_told(optimizer):
    scheduler = lr_scheduler.OneCycleLR(optimizer, cycle_momentum=False, **ONE_CYCLE)
    assert set(trace(optimizer, scheduler, END, "momentum").flatten().tolist()) == {0.5}


@claim("lr-onecycle-momentum")
def test_one_cycle_drives_the_first_beta_of_adam():
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=0.1, betas=(0.5, 0.75))
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.8, total_steps=16, pct_start=0.25, anneal_strategy="linear")
    seen = trace(optimizer, scheduler, END, "betas")
    expected = schedules.through(np.arange(16), [(0, 0.95), (PEAK, 0.85), (END, 0.95)])
    assert_close_to_path(seen[:, 0, 0], expected)
    assert set(seen[:, 0, 1].tolist()) == {0.75}


@claim("lr-onecycle-arguments")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"total_steps OR \(epochs AND steps_per_epoch\)"),
        ({"total_steps": 0}, "positive integer total_steps"),
        ({"epochs": 3, "steps_per_epoch": 0}, "positive integer steps_per_epoch"),
        ({"total_steps": 5, "pct_start": 1.5}, "between 0 and 1 pct_start"),
        ({"total_steps": 5, "anneal_strategy": "step"}, "anneal_strategy must"),
    ],
    ids=["no-length", "no-steps", "no-steps-an-epoch", "share", "curve"],
)
def test_one_cycle_refuses(optimizer, options, message):
    with pytest.raises(ValueError, match=message):
        lr_scheduler.OneCycleLR(optimizer, 0.5, **options)
    assert [group["lr"] for group in optimizer.param_groups] == BASE.tolist()


# Two steps up and six down: a cycle of eight, whose fractions are exact.
CYCLE = {"base_lr": [0.1, 0.2], "max_lr": [0.5, 1.0], "step_size_up": 2, "step_size_down": 6}
CYCLES = 3


def zigzag(low, high):
    corners = [(8 * cycle + at, value) for cycle in range(CYCLES) for at, value in ((0, low), (2, high))]
    return schedules.through(np.arange(8 * CYCLES), [*corners, (8 * CYCLES, low)])


@claim("lr-cyclic")
def test_triangles(optimizer):
    seen = trace(optimizer, lr_scheduler.CyclicLR(optimizer, **CYCLE), 8 * CYCLES - 1)
    assert_close_to_path(seen, np.outer(zigzag(0.1, 0.5), [1, 2]))


@claim("lr-cyclic")
def test_triangles_are_symmetric_by_default(optimizer):
    scheduler = lr_scheduler.CyclicLR(optimizer, 0.1, 0.5, step_size_up=4)
    path = schedules.through(np.arange(14), [(0, 0.1), (4, 0.5), (8, 0.1), (12, 0.5), (16, 0.1)])
    assert_close_to_path(trace(optimizer, scheduler, 13), np.outer(path, [1, 1]))


@claim("lr-cyclic-halved")
def test_triangles_that_halve(optimizer):
    seen = trace(optimizer, lr_scheduler.CyclicLR(optimizer, mode="triangular2", **CYCLE), 8 * CYCLES - 1)
    amplitude = zigzag(0.0, 0.4) / 2.0 ** (np.arange(8 * CYCLES) // 8)
    assert_close_to_path(seen, np.outer(0.1 + amplitude, [1, 2]))


@claim("lr-cyclic-momentum")
def test_cyclic_momentum(optimizer):
    scheduler = lr_scheduler.CyclicLR(optimizer, base_momentum=0.5, max_momentum=0.75, **CYCLE)
    seen = trace(optimizer, scheduler, 8 * CYCLES - 1, "momentum")
    assert_close_to_path(seen, np.outer(zigzag(0.75, 0.5), [1, 1]))


@claim("lr-cyclic-momentum")
def test_cyclic_leaves_momentum_alone_when_told(optimizer):
    scheduler = lr_scheduler.CyclicLR(optimizer, cycle_momentum=False, **CYCLE)
    assert set(trace(optimizer, scheduler, 9, "momentum").flatten().tolist()) == {0.5}
