"""ReduceLROnPlateau: when it reduces the rate, by how much, and what it takes for an improvement."""

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from test_schedulers.common import BASE, make_optimizer, rates_of, trace
from torchclaims import claim
from torchclaims.reference import schedules
from torchclaims.tolerance import assert_within, relative_bound


def reductions(metrics, **options):
    """The epochs, counted from 0, at which the rate of the first group was halved."""
    rates = trace(ReduceLROnPlateau(make_optimizer(), factor=0.5, **options), metrics)
    return np.flatnonzero(np.diff(rates[:, 0].numpy()) < 0).tolist()


def assert_follows(metrics, **options):
    """The rates after each metric, found to be those of the reference."""
    expected = schedules.plateau(metrics, BASE, **options)
    bound = relative_bound(expected, len(metrics))
    rates = trace(ReduceLROnPlateau(make_optimizer(), **options), metrics)[1:]
    assert_within(rates, expected, bound, what="rate", because="one rounding a reduction")
    return rates


@claim("lr-plateau")
@pytest.mark.parametrize("patience", [0, 1, 4])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_patience(mode, patience):
    """After the baseline, patience + 1 epochs without improvement bring the next reduction."""
    worse = [1.0 + 0.5 * k if mode == "min" else 1.0 - 0.5 * k for k in range(12)]
    expected = list(range(patience + 1, 12, patience + 1))
    assert reductions(worse, mode=mode, patience=patience) == expected


@claim("lr-plateau")
@pytest.mark.parametrize("patience", [1, 2])
def test_an_improvement_starts_the_count_anew(patience):
    metrics = [5.0, *[6.0] * patience, 4.0, *[4.5] * patience, 3.0, *[3.5] * (patience + 1)]
    assert reductions(metrics, patience=patience) == [len(metrics) - 1]


@claim("lr-plateau")
def test_ten_epochs_and_a_tenth_by_default():
    assert_follows([1.0] * 24)


@claim("lr-plateau")
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(("patience", "cooldown"), [(0, 0), (1, 3), (2, 1)])
def test_random_metrics(rng, mode, threshold_mode, patience, cooldown):
    """On a coarse dyadic grid ties are frequent, and thresholds are computed without rounding."""
    metrics = (rng.integers(1, 40, 50) / 8).tolist()
    trend = [metric - epoch / 8 if mode == "min" else metric + epoch / 8 for epoch, metric in enumerate(metrics)]
    assert_follows(
        [metric + 8 for metric in trend],
        mode=mode,
        factor=0.7,
        patience=patience,
        threshold=0.125,
        threshold_mode=threshold_mode,
        cooldown=cooldown,
        min_lr=[0.02, 0.001],
    )


@claim("lr-plateau")
@pytest.mark.parametrize(("mode", "metrics"), [("max", [-1e9, -5.0, -4.0]), ("min", [1e9, 1e8, 5.0])])
def test_the_first_metric_is_the_baseline_whatever_it_is(mode, metrics):
    assert reductions(metrics, mode=mode, patience=0) == []


@claim("lr-plateau")
def test_a_tensor_of_one_element_is_a_metric():
    assert reductions([torch.tensor(1.0), torch.tensor(2.0), torch.tensor(0.5)], patience=0) == [1]


@claim("lr-plateau-equal")
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold", [0.0, 0.01])
def test_an_equal_metric_is_no_improvement(mode, threshold):
    assert reductions([2.0] * 7, mode=mode, threshold=threshold, patience=1) == [2, 4, 6]


# The best metric is 8; the threshold of 1/4 is 2 relative to it, and itself in absolute mode.
@claim("lr-plateau-threshold")
@pytest.mark.parametrize(
    ("mode", "threshold_mode", "enough", "too_little"),
    [
        ("min", "rel", 5.99, 6.01),
        ("min", "abs", 7.74, 7.76),
        ("max", "rel", 10.01, 9.99),
        ("max", "abs", 8.26, 8.24),
    ],
)
def test_threshold(mode, threshold_mode, enough, too_little):
    options = {"mode": mode, "threshold_mode": threshold_mode, "threshold": 0.25, "patience": 0}
    assert reductions([8.0, enough], **options) == []
    assert reductions([8.0, too_little], **options) == [1]


@claim("lr-plateau-threshold")
@pytest.mark.parametrize(("mode", "enough", "too_little"), [("min", -6.5, -5.5), ("max", -9.5, -10.5)])
def test_relative_threshold_of_a_negative_best(mode, enough, too_little):
    """best * (1 - threshold) and best * (1 + threshold) lie on the worse side of a best below 0."""
    options = {"mode": mode, "threshold_mode": "rel", "threshold": 0.25, "patience": 0}
    assert reductions([-8.0, enough], **options) == []
    assert reductions([-8.0, too_little], **options) == [1]


@claim("lr-plateau-threshold")
def test_small_gains_are_measured_from_the_best():
    """Gains that are each below the threshold do not move the best metric, but together they pass it."""
    options = {"threshold_mode": "abs", "threshold": 1.0, "patience": 0}
    assert reductions([8.0, 7.5, 7.25, 6.75], **options) == [1, 2]


@claim("lr-plateau-threshold")
def test_default_threshold_is_one_in_ten_thousand_of_the_best():
    assert reductions([10.0, 9.9989], patience=0) == []
    assert reductions([10.0, 9.9991], patience=0) == [1]


@claim("lr-plateau-nan")
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_nan_is_no_improvement_and_never_the_best(mode, threshold_mode):
    better, nan = (0.5 if mode == "min" else 2.0), float("nan")
    options = {"mode": mode, "threshold_mode": threshold_mode, "patience": 1}
    assert reductions([1.0, nan, nan, nan, better, nan, 1.0], **options) == [2, 6]
    assert reductions([nan, nan, 1.0, nan, nan], **options) == [1, 4], "a NaN that comes first"


@claim("lr-plateau-cooldown")
@pytest.mark.parametrize(("cooldown", "expected"), [(0, [2, 4, 6, 8, 10]), (1, [2, 5, 8, 11]), (3, [2, 7])])
def test_cooldown(cooldown, expected):
    """With a patience of 1, two stale epochs reduce; the cooldown's epochs come on top."""
    assert reductions([1.0] * 12, patience=1, cooldown=cooldown) == expected


@claim("lr-plateau-cooldown")
def test_an_improvement_in_the_cooldown_is_remembered():
    """0.5 falls into the cooldown; 0.75 after it is no improvement on that."""
    assert reductions([1.0, 1.0, 0.5, 1.0, 0.75], patience=0, cooldown=2) == [1, 4]


@claim("lr-plateau-min-lr")
@pytest.mark.parametrize("bounds", [0.03, [0.03, 0.5]], ids=["one-bound", "a-bound-a-group"])
def test_lower_bound(bounds):
    options = {"factor": 0.5, "patience": 0, "min_lr": bounds}
    rates = assert_follows([1.0] * 8, **options)
    assert rates[-1].tolist() == np.broadcast_to(bounds, 2).tolist()


@claim("lr-plateau-eps")
def test_reductions_smaller_than_eps_are_not_made():
    """Halving 0.1 changes it by 0.05, then by 0.025; halving 0.75 by 0.375 and on, down to below 0.04."""
    options = {"factor": 0.5, "patience": 0, "eps": 0.04}
    assert trace(ReduceLROnPlateau(make_optimizer(), **options), [1.0] * 8)[-1].tolist() == [0.05, 0.046875]


@claim("lr-plateau-eps")
def test_default_eps():
    """A rate of 1e-8 would lose less than 1e-8; one of 2e-8 loses more."""
    scheduler = ReduceLROnPlateau(make_optimizer(1e-8, 2e-8), patience=0)
    assert trace(scheduler, [1.0, 1.0])[-1].tolist() == [1e-8, 2e-8 * 0.1]


@claim("lr-plateau-arguments")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 1.0}, "Factor should be < 1.0"),
        ({"factor": 2.0}, "Factor should be < 1.0"),
        ({"mode": "least"}, "mode least is unknown"),
        ({"threshold_mode": "both"}, "threshold mode both is unknown"),
        ({"min_lr": [0.1]}, "expected 2 min_lrs, got 1"),
    ],
    ids=["factor-one", "factor-two", "mode", "threshold-mode", "bounds-of-one-group"],
)
def test_arguments_that_mean_nothing(options, message):
    optimizer = make_optimizer()
    with pytest.raises(ValueError, match=message):
        ReduceLROnPlateau(optimizer, **options)
    assert rates_of(optimizer) == BASE.tolist()


@claim("lr-plateau-last-lr")
def test_last_rates():
    optimizer = make_optimizer()
    scheduler = ReduceLROnPlateau(optimizer, patience=0)
    for _ in range(3):
        scheduler.step(1.0)
        assert scheduler.get_last_lr() == rates_of(optimizer)
    assert rates_of(optimizer) != BASE.tolist()
