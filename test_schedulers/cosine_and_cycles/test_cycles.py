"""Schedules that rise and fall: the one-cycle policy, and cyclic rates."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from test_schedulers.common import BASE, assert_close_to_path, make_optimizer, rates_of, trace
from torchclaims import claim
from torchclaims.reference import schedules

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
def test_one_cycle(anneal):
    path = schedules.through(np.arange(16), [(0, 0.2), (PEAK, 0.8), (END, 0.025)], CURVES[anneal])
    scheduler = lr_scheduler.OneCycleLR(make_optimizer(), anneal_strategy=anneal, **ONE_CYCLE)
    assert_close_to_path(trace(scheduler, END), np.outer(path, [1, 2]))


@claim("lr-onecycle")
def test_one_cycle_by_default():
    """Three tenths rise, from a 25th of the largest rate; the smallest is a ten-thousandth of the first."""
    path = schedules.through(np.arange(10), [(0, 0.02), (2, 0.5), (9, 0.02e-4)], schedules.half_cosine)
    seen = trace(lr_scheduler.OneCycleLR(make_optimizer(), 0.5, total_steps=10), 9)
    assert_close_to_path(seen, np.outer(path, [1, 1]))


@claim("lr-onecycle")
def test_total_steps_from_epochs():
    options = {**ONE_CYCLE, "total_steps": None, "epochs": 2, "steps_per_epoch": 8}
    seen = trace(lr_scheduler.OneCycleLR(make_optimizer(), anneal_strategy="linear", **options), END)
    path = schedules.through(np.arange(16), [(0, 0.2), (PEAK, 0.8), (END, 0.025)])
    assert_close_to_path(seen, np.outer(path, [1, 2]))


@claim("lr-onecycle-three-phases")
@pytest.mark.parametrize("anneal", CURVES)
def test_three_phases(anneal):
    """The fall back to the first rate mirrors the rise; what is left goes down to the minimum."""
    corners = [(0, 0.2), (PEAK, 0.8), (2 * PEAK, 0.2), (END, 0.025)]
    path = schedules.through(np.arange(16), corners, CURVES[anneal])
    scheduler = lr_scheduler.OneCycleLR(make_optimizer(), anneal_strategy=anneal, three_phase=True, **ONE_CYCLE)
    assert_close_to_path(trace(scheduler, END), np.outer(path, [1, 2]))


@claim("lr-onecycle-momentum")
@pytest.mark.parametrize("three_phase", [False, True], ids=["two-phases", "three-phases"])
def test_one_cycle_momentum(three_phase):
    corners = [(0, 0.95), (PEAK, 0.85), *([(2 * PEAK, 0.95)] if three_phase else []), (END, 0.95)]
    path = schedules.through(np.arange(16), corners, schedules.half_cosine)
    scheduler = lr_scheduler.OneCycleLR(make_optimizer(), three_phase=three_phase, **ONE_CYCLE)
    assert_close_to_path(trace(scheduler, END, "momentum"), np.outer(path, [1, 1]))


@claim("lr-onecycle-momentum")
def test_one_cycle_leaves_momentum_alone_when_told():
    scheduler = lr_scheduler.OneCycleLR(make_optimizer(), cycle_momentum=False, **ONE_CYCLE)
    assert set(trace(scheduler, END, "momentum").flatten().tolist()) == {0.5}


@claim("lr-onecycle-momentum")
def test_one_cycle_drives_the_first_beta_of_adam():
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=0.1, betas=(0.5, 0.75))
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.8, total_steps=16, pct_start=0.25, anneal_strategy="linear")
    seen = trace(scheduler, END, "betas")
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
def test_one_cycle_refuses(options, message):
    optimizer = make_optimizer()
    with pytest.raises(ValueError, match=message):
        lr_scheduler.OneCycleLR(optimizer, 0.5, **options)
    assert rates_of(optimizer) == BASE.tolist()


# Two steps up and six down: a cycle of eight, whose fractions are exact.
CYCLE = {"base_lr": [0.1, 0.2], "max_lr": [0.5, 1.0], "step_size_up": 2, "step_size_down": 6}
CYCLES = 3


def zigzag(low, high):
    corners = [(8 * cycle + at, value) for cycle in range(CYCLES) for at, value in ((0, low), (2, high))]
    return schedules.through(np.arange(8 * CYCLES), [*corners, (8 * CYCLES, low)])


@claim("lr-cyclic")
def test_triangles():
    seen = trace(lr_scheduler.CyclicLR(make_optimizer(), **CYCLE), 8 * CYCLES - 1)
    assert_close_to_path(seen, np.outer(zigzag(0.1, 0.5), [1, 2]))


@claim("lr-cyclic")
def test_triangles_are_symmetric_by_default():
    scheduler = lr_scheduler.CyclicLR(make_optimizer(), 0.1, 0.5, step_size_up=4)
    path = schedules.through(np.arange(14), [(0, 0.1), (4, 0.5), (8, 0.1), (12, 0.5), (16, 0.1)])
    assert_close_to_path(trace(scheduler, 13), np.outer(path, [1, 1]))


@claim("lr-cyclic-halved")
@pytest.mark.parametrize("options", [{}, {"scale_mode": "iterations"}], ids=["default", "scale_mode"])
def test_triangles_that_halve(options):
    seen = trace(lr_scheduler.CyclicLR(make_optimizer(), mode="triangular2", **CYCLE, **options), 8 * CYCLES - 1)
    amplitude = zigzag(0.0, 0.4) / 2.0 ** (np.arange(8 * CYCLES) // 8)
    assert_close_to_path(seen, np.outer(0.1 + amplitude, [1, 2]))


@claim("lr-cyclic-momentum")
def test_cyclic_momentum():
    scheduler = lr_scheduler.CyclicLR(make_optimizer(), base_momentum=0.5, max_momentum=0.75, **CYCLE)
    seen = trace(scheduler, 8 * CYCLES - 1, "momentum")
    assert_close_to_path(seen, np.outer(zigzag(0.75, 0.5), [1, 1]))


@claim("lr-cyclic-momentum")
def test_cyclic_leaves_momentum_alone_when_told():
    scheduler = lr_scheduler.CyclicLR(make_optimizer(), cycle_momentum=False, **CYCLE)
    assert set(trace(scheduler, 9, "momentum").flatten().tolist()) == {0.5}
