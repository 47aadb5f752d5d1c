"""Schedules that are a formula of the epoch, for every epoch and two groups with rates of their own."""

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
    return torch.optim.SGD(groups, lr=1.0)


def trace(optimizer, scheduler, steps):
    """The rates at construction and after each step; a row for each epoch, a column for each group."""
    rows = [[group["lr"] for group in optimizer.param_groups]]
    optimizer.step()
    for _ in range(steps):
        scheduler.step()
        rows.append([group["lr"] for group in optimizer.param_groups])
    return torch.tensor(rows, dtype=torch.float64)


def assert_traces(optimizer, scheduler, expected, roundings):
    """``roundings`` is how many a step may add; three more are the formula's own."""
    steps = len(expected) - 1
    bound = relative_bound(expected, roundings * steps + 3)
    assert_within(
        trace(optimizer, scheduler, steps),
        expected,
        bound,
        what="rate",
        because=f"{roundings} roundings a step",
    )


@claim("lr-step")
@pytest.mark.parametrize(("step_size", "gamma"), [(1, 0.5), (3, 0.1), (4, 1.3), (20, 0.1)])
def test_step(optimizer, step_size, gamma):
    expected = schedules.step_decay(np.arange(14), BASE, step_size, gamma)
    assert_traces(optimizer, lr_scheduler.StepLR(optimizer, step_size, gamma), expected, 1)


@claim("lr-step")
def test_step_decays_by_a_tenth_by_default(optimizer):
    expected = schedules.step_decay(np.arange(5), BASE, 2, 0.1)
    assert_traces(optimizer, lr_scheduler.StepLR(optimizer, 2), expected, 1)


@claim("lr-multistep")
@pytest.mark.parametrize("milestones", [[1], [2, 5, 6], [3, 30], [4, 9]], ids=str)
def test_multi_step(optimizer, milestones):
    expected = schedules.multi_step_decay(np.arange(12), BASE, milestones, 0.3)
    assert_traces(optimizer, lr_scheduler.MultiStepLR(optimizer, milestones, 0.3), expected, 1)


@claim("lr-multistep")
def test_multi_step_decays_by_a_tenth_by_default(optimizer):
    expected = schedules.multi_step_decay(np.arange(5), BASE, [1, 3], 0.1)
    assert_traces(optimizer, lr_scheduler.MultiStepLR(optimizer, [1, 3]), expected, 1)


@claim("lr-multistep-repeated")
@pytest.mark.parametrize("milestones", [[3, 3], [2, 4, 4, 4, 7]], ids=str)
def test_milestones_listed_more_than_once(optimizer, milestones):
    expected = schedules.multi_step_decay(np.arange(10), BASE, milestones, 0.7)
    assert_traces(optimizer, lr_scheduler.MultiStepLR(optimizer, milestones, 0.7), expected, 4)


@claim("lr-exponential")
@pytest.mark.parametrize("gamma", [0.95, 0.1, 1.5])
def test_exponential(optimizer, gamma):
    expected = schedules.exponential_decay(np.arange(15), BASE, gamma)
    assert_traces(optimizer, lr_scheduler.ExponentialLR(optimizer, gamma), expected, 1)


def assert_anneals(optimizer, period, minimum, epochs):
    """Each step of the recursion rounds up to six times.

    Where the rate rises again, an error grows with it: at most from the smallest rate after the trough to the
    largest.
    """
    expected = schedules.cosine_annealing(np.arange(epochs), BASE, period, minimum)
    growth = 2 / (1 - np.cos(np.pi / period))
    bound = growth * relative_bound(np.full_like(expected, max(*BASE, minimum)), 6 * epochs)
    rates = trace(optimizer, lr_scheduler.CosineAnnealingLR(optimizer, period, minimum), epochs - 1)
    assert_within(rates, expected, bound, what="rate", because="6 roundings a step, magnified after the trough")


@claim("lr-cosine")
@pytest.mark.parametrize("period", [1, 7, 12])
@pytest.mark.parametrize("minimum", [0.0, 0.02, 0.5], ids="minimum-{}".format)
def test_cosine(optimizer, period, minimum):
    assert_anneals(optimizer, period, minimum, epochs=period + 1)


@claim("lr-cosine")
def test_cosine_falls_to_zero_by_default(optimizer):
    rates = trace(optimizer, lr_scheduler.CosineAnnealingLR(optimizer, 4), 4)
    assert rates[-1].tolist() == [0.0, 0.0]


@claim("lr-cosine-without-restarts")
@pytest.mark.parametrize("period", [1, 2, 5, 8])
@pytest.mark.parametrize("minimum", [0.0, 0.03], ids="minimum-{}".format)
def test_cosine_rises_again(optimizer, period, minimum):
    assert_anneals(optimizer, period, minimum, epochs=4 * period + 3)


FACTORS = [lambda epoch: 0.95**epoch, lambda epoch: 1 / (2 + epoch)]


@claim("lr-lambda")
def test_one_function_for_all_groups(optimizer):
    expected = schedules.scaled(np.arange(9), BASE, [FACTORS[1]] * 2)
    assert_traces(optimizer, lr_scheduler.LambdaLR(optimizer, FACTORS[1]), expected, 0)


@claim("lr-lambda")
@pytest.mark.parametrize("sequence", [list, tuple])
def test_a_function_for_each_group(optimizer, sequence):
    expected = schedules.scaled(np.arange(9), BASE, FACTORS)
    assert_traces(optimizer, lr_scheduler.LambdaLR(optimizer, sequence(FACTORS)), expected, 0)


@claim("lr-multiplicative")
def test_multiplicative(optimizer):
    expected = schedules.multiplied(np.arange(9), BASE, FACTORS[1])
    assert_traces(optimizer, lr_scheduler.MultiplicativeLR(optimizer, FACTORS[1]), expected, 2)


@claim("lr-multiplicative")
def test_multiplicative_asks_for_each_epoch_once(optimizer):
    asked = []

    def factor(epoch):
        asked.append(epoch)
        return 0.5

    trace(optimizer, lr_scheduler.MultiplicativeLR(optimizer, [factor, lambda epoch: 1.0]), 4)
    assert asked == [1, 2, 3, 4]


@claim("lr-constant")
@pytest.mark.parametrize(("factor", "total"), [(0.5, 4), (0.3, 1), (0.3, 20)])
def test_constant(optimizer, factor, total):
    expected = schedules.constant_start(np.arange(8), BASE, factor, total)
    assert_traces(optimizer, lr_scheduler.ConstantLR(optimizer, factor, total), expected, 1)


@claim("lr-constant")
def test_constant_by_default(optimizer):
    expected = schedules.constant_start(np.arange(8), BASE, 1 / 3, 5)
    assert_traces(optimizer, lr_scheduler.ConstantLR(optimizer), expected, 1)


@claim("lr-linear")
@pytest.mark.parametrize(
    ("start", "end", "total"), [(0.25, 1.0, 4), (0.05, 1.0, 10), (1.0, 0.5, 6), (0.5, 0.5, 3), (1.0, 0.0, 8)]
)
def test_linear(optimizer, start, end, total):
    """The recursion divides by the factor of the epoch before: digits are lost where that is small."""
    expected = schedules.linear_ramp(np.arange(13), BASE, start, end, total)
    smallest = min(start, start + (end - start) * (total - 1) / total)
    bound = relative_bound(np.full_like(expected, BASE.max()), 8 * 13) / smallest
    rates = trace(optimizer, lr_scheduler.LinearLR(optimizer, start, end, total), 12)
    assert_within(
        rates, expected, bound, what="rate", because="8 roundings a step, on a factor of the smallest's size"
    )


@claim("lr-linear")
def test_linear_by_default(optimizer):
    expected = schedules.linear_ramp(np.arange(8), BASE, 1 / 3, 1.0, 5)
    assert_traces(optimizer, lr_scheduler.LinearLR(optimizer), expected, 8)


@claim("lr-polynomial")
@pytest.mark.parametrize(("total", "power"), [(8, 1.0), (8, 2.0), (4, 0.9), (16, 1.5)])
def test_polynomial(optimizer, total, power):
    """Totals are powers of two: epoch / total is exact, and so is what is left of 1."""
    expected = schedules.polynomial_decay(np.arange(12), BASE, total, power)
    assert_traces(optimizer, lr_scheduler.PolynomialLR(optimizer, total, power), expected, 6)


T = np.array([5, 1, 12, 0, 4])


@claim("lr-step-epoch")
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda optimizer: lr_scheduler.StepLR(optimizer, 2, 0.5), schedules.step_decay(T, BASE, 2, 0.5)),
        (
            lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [4, 4, 5], 0.5),
            schedules.multi_step_decay(T, BASE, [4, 4, 5], 0.5),
        ),
        (
            lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.9),
            schedules.exponential_decay(T, BASE, 0.9),
        ),
        (
            lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 8, 0.5),
            schedules.cosine_annealing(T, BASE, 8, 0.5),
        ),
        (
            lambda optimizer: lr_scheduler.ConstantLR(optimizer, 0.25, 5),
            schedules.constant_start(T, BASE, 0.25, 5),
        ),
        (
            lambda optimizer: lr_scheduler.LinearLR(optimizer, 0.25, 0.75, 8),
            schedules.linear_ramp(T, BASE, 0.25, 0.75, 8),
        ),
        (
            lambda optimizer: lr_scheduler.PolynomialLR(optimizer, 8, 2.0),
            schedules.polynomial_decay(T, BASE, 8, 2.0),
        ),
        (lambda optimizer: lr_scheduler.LambdaLR(optimizer, FACTORS), schedules.scaled(T, BASE, FACTORS)),
    ],
    ids=["step", "multi-step", "exponential", "cosine", "constant", "linear", "polynomial", "lambda"],
)
def test_step_to_an_epoch(optimizer, make, expected):
    scheduler = make(optimizer)
    optimizer.step()
    rows = []
    for epoch in T.tolist():
        with pytest.warns(UserWarning, match="epoch parameter .* deprecated"):
            scheduler.step(epoch)
        assert scheduler.last_epoch == epoch
        rows.append([group["lr"] for group in optimizer.param_groups])
    bound = relative_bound(np.full_like(expected, BASE.max()), 12)
    assert_within(torch.tensor(rows, dtype=torch.float64), expected, bound, what="rate", because="12 roundings")


@claim("lr-groups")
@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: lr_scheduler.StepLR(optimizer, 2, 0.5),
        lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [2, 3], 0.5),
        lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.5),
        lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 6),
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch),
        lambda optimizer: lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5),
        lambda optimizer: lr_scheduler.LinearLR(optimizer, 0.25),
        lambda optimizer: lr_scheduler.PolynomialLR(optimizer, 8),
        lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 6),
    ],
    ids=[
        "step",
        "multi-step",
        "exponential",
        "cosine",
        "lambda",
        "multiplicative",
        "linear",
        "polynomial",
        "restarts",
    ],
)
def test_groups_keep_their_proportion(make):
    """Rates in the proportion 1 : 4 : 16 are scaled alike; powers of two pass through every rounding."""
    rates = [0.125, 0.5, 2.0]
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    seen = trace(optimizer, make(optimizer), 5)
    assert seen[-1, 0] != seen[0, 0], "the schedule did not move the first group"
    assert [row.tolist() for row in seen / torch.tensor(rates, dtype=torch.float64)] == [
        [row[0].item() / rates[0]] * 3 for row in seen
    ]
