"""Schedules that are a formula of the epoch, for every epoch and two groups with rates of their own."""

import numpy as np
import pytest
from torch.optim import lr_scheduler

from test_schedulers.common import BASE, assert_traces, make_optimizer, rates_of, trace
from torchclaims import claim
from torchclaims.reference import schedules
from torchclaims.tolerance import assert_within, relative_bound


@claim("lr-step")
@pytest.mark.parametrize(("step_size", "gamma"), [(1, 0.5), (3, 0.1), (4, 1.3), (20, 0.1)])
def test_step(step_size, gamma):
    expected = schedules.step_decay(np.arange(14), BASE, step_size, gamma)
    assert_traces(lr_scheduler.StepLR(make_optimizer(), step_size, gamma), expected, 1)


@claim("lr-step")
def test_step_decays_by_a_tenth_by_default():
    expected = schedules.step_decay(np.arange(5), BASE, 2, 0.1)
    assert_traces(lr_scheduler.StepLR(make_optimizer(), 2), expected, 1)


@claim("lr-multistep")
@pytest.mark.parametrize("milestones", [[1], [2, 5, 6], [3, 30], [4, 9], [0, 3]], ids=str)
def test_multi_step(milestones):
    expected = schedules.multi_step_decay(np.arange(12), BASE, milestones, 0.3)
    assert_traces(lr_scheduler.MultiStepLR(make_optimizer(), milestones, 0.3), expected, 1)


@claim("lr-multistep")
def test_multi_step_decays_by_a_tenth_by_default():
    expected = schedules.multi_step_decay(np.arange(5), BASE, [1, 3], 0.1)
    assert_traces(lr_scheduler.MultiStepLR(make_optimizer(), [1, 3]), expected, 1)


@claim("lr-multistep-repeated")
@pytest.mark.parametrize("milestones", [[3, 3], [2, 4, 4, 4, 7]], ids=str)
def test_milestones_listed_more_than_once(milestones):
    expected = schedules.multi_step_decay(np.arange(10), BASE, milestones, 0.7)
    assert_traces(lr_scheduler.MultiStepLR(make_optimizer(), milestones, 0.7), expected, 4)


@claim("lr-exponential")
@pytest.mark.parametrize("gamma", [0.95, 0.1, 1.5])
def test_exponential(gamma):
    expected = schedules.exponential_decay(np.arange(15), BASE, gamma)
    assert_traces(lr_scheduler.ExponentialLR(make_optimizer(), gamma), expected, 1)


FACTORS = [lambda epoch: 0.95**epoch, lambda epoch: 1 / (2 + epoch)]


@claim("lr-lambda")
def test_one_function_for_all_groups():
    expected = schedules.scaled(np.arange(9), BASE, [FACTORS[1]] * 2)
    assert_traces(lr_scheduler.LambdaLR(make_optimizer(), FACTORS[1]), expected, 0)


@claim("lr-lambda")
@pytest.mark.parametrize("sequence", [list, tuple])
def test_a_function_for_each_group(sequence):
    expected = schedules.scaled(np.arange(9), BASE, FACTORS)
    assert_traces(lr_scheduler.LambdaLR(make_optimizer(), sequence(FACTORS)), expected, 0)


@claim("lr-multiplicative")
def test_multiplicative():
    expected = schedules.multiplied(np.arange(9), BASE, FACTORS[1])
    assert_traces(lr_scheduler.MultiplicativeLR(make_optimizer(), FACTORS[1]), expected, 2)


@claim("lr-multiplicative")
def test_multiplicative_asks_for_each_epoch_once():
    asked = []

    def factor(epoch):
        asked.append(epoch)
        return 0.5

    trace(lr_scheduler.MultiplicativeLR(make_optimizer(), [factor, lambda epoch: 1.0]), 4)
    assert asked == [1, 2, 3, 4]


@claim("lr-constant")
@pytest.mark.parametrize(("factor", "total"), [(0.5, 4), (0.3, 1), (0.3, 20)])
def test_constant(factor, total):
    expected = schedules.constant_start(np.arange(8), BASE, factor, total)
    assert_traces(lr_scheduler.ConstantLR(make_optimizer(), factor, total), expected, 1)


@claim("lr-constant")
def test_constant_by_default():
    expected = schedules.constant_start(np.arange(8), BASE, 1 / 3, 5)
    assert_traces(lr_scheduler.ConstantLR(make_optimizer()), expected, 1)


@claim("lr-linear")
@pytest.mark.parametrize(
    ("start", "end", "total"), [(0.25, 1.0, 4), (0.05, 1.0, 10), (1.0, 0.5, 6), (0.5, 0.5, 3), (1.0, 0.0, 8)]
)
def test_linear(start, end, total):
    """The recursion divides by the factor of the epoch before: digits are lost where that is small."""
    expected = schedules.linear_ramp(np.arange(13), BASE, start, end, total)
    smallest = min(start, start + (end - start) * (total - 1) / total)
    bound = relative_bound(np.full_like(expected, BASE.max()), 8 * 13) / smallest
    rates = trace(lr_scheduler.LinearLR(make_optimizer(), start, end, total), 12)
    assert_within(rates, expected, bound, what="rate", because="8 roundings a step, on a factor of the smallest's size")


@claim("lr-linear")
def test_linear_by_default():
    expected = schedules.linear_ramp(np.arange(8), BASE, 1 / 3, 1.0, 5)
    assert_traces(lr_scheduler.LinearLR(make_optimizer()), expected, 8)


@claim("lr-polynomial")
@pytest.mark.parametrize(("total", "power"), [(8, 1.0), (8, 2.0), (4, 0.9), (16, 1.5)])
def test_polynomial(total, power):
    """Totals are powers of two: epoch / total is exact, and so is what is left of 1."""
    expected = schedules.polynomial_decay(np.arange(12), BASE, total, power)
    assert_traces(lr_scheduler.PolynomialLR(make_optimizer(), total, power), expected, 6)


@claim("lr-lambda-list")
@pytest.mark.parametrize("kind", [lr_scheduler.LambdaLR, lr_scheduler.MultiplicativeLR])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_as_many_functions_as_groups(kind, count):
    optimizer = make_optimizer()
    with pytest.raises(ValueError, match=f"Expected 2 lr_lambdas, but got {count}"):
        kind(optimizer, [lambda epoch: 0.5] * count)
    assert rates_of(optimizer) == BASE.tolist()
