"""Statistical tests with a stated false-alarm rate.

Each test draws a sample and rejects it at :data:`FIRST_LEVEL`. A rejected sample is drawn again, once, and must be
rejected at the far smaller :data:`SECOND_LEVEL` before the test fails. The draws are independent: the chance that a
correct PyTorch fails is at most the product, :data:`FALSE_ALARM_RATE`, and the plugin adds these up over the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from torchclaims.targets import to_numpy

FIRST_LEVEL = 1e-3
SECOND_LEVEL = 1e-6
FALSE_ALARM_RATE = FIRST_LEVEL * SECOND_LEVEL

# False-alarm rates of the chance tests since the last reset; the plugin reads them after each test.
RATES_STATED: list[float] = []

Draw = Callable[[], torch.Tensor]


# SciPy's statistics take most of a second to import: only the tests that need them do.


def normal(mean: float, std: float) -> Any:
    """The normal distribution, as ``scipy.stats`` has it."""
    from scipy import stats

    return stats.norm(mean, std)


def uniform(low: float, high: float) -> Any:
    """The uniform distribution between ``low`` and ``high``, as ``scipy.stats`` has it."""
    from scipy import stats

    return stats.uniform(low, high - low)


def truncated_normal(mean: float, std: float, low: float, high: float) -> Any:
    """The normal distribution given that the value lies between ``low`` and ``high``, as ``scipy.stats`` has it."""
    from scipy import stats

    return stats.truncnorm((low - mean) / std, (high - mean) / std, loc=mean, scale=std)


def assert_follows(draw: Draw, distribution: Any, *, what: str) -> None:
    """Asserts that the elements of ``draw()`` are independent draws from a continuous ``scipy.stats`` distribution.

    Kolmogorov-Smirnov on the distribution function, sensitive to shape and location, and a test of the second moment
    about the distribution's mean, sensitive to scale; the level is split between them.

    Args:
        draw: makes a fresh sample at each call; about 20,000 elements resolve a scale error of some 5 %.
        distribution: a frozen continuous ``scipy.stats`` distribution with a finite fourth moment.
        what: names the quantity in the failure.

    Raises:
        AssertionError: the sample was rejected twice.
    """
    from scipy import stats

    mean, variance = (float(moment) for moment in distribution.stats(moments="mv"))
    kurtosis = float(distribution.stats(moments="k"))

    def p_values(sample: np.ndarray) -> Iterator[tuple[str, float]]:
        yield "its distribution function", float(stats.kstest(sample, distribution.cdf).pvalue)
        # The mean of (x - mean)^2 / variance is asymptotically normal with variance (kurtosis + 2) / n.
        second = float(np.mean((sample - mean) ** 2) / variance)
        score = (second - 1) / np.sqrt((kurtosis + 2) / sample.size)
        yield f"its second moment, {second:.4f} of what it should be", float(2 * stats.norm.sf(abs(score)))

    _assert_not_rejected(draw, p_values, f"{what}: expected {_describe(distribution)}")


def assert_rate(draw: Draw, probability: float, *, what: str) -> None:
    """Asserts that the elements of ``draw()`` (bool) are independently true with ``probability``; exact binomial.

    Raises:
        AssertionError: the sample was rejected twice.
    """
    from scipy import stats

    def p_values(sample: np.ndarray) -> Iterator[tuple[str, float]]:
        successes = int(sample.astype(bool).sum())
        result = stats.binomtest(successes, sample.size, probability)
        yield f"its rate, {successes} of {sample.size}", float(result.pvalue)

    _assert_not_rejected(draw, p_values, f"{what}: expected true with probability {probability}")


def assert_uncorrelated(left: np.ndarray, right: np.ndarray, *, what: str) -> None:
    """Asserts that ``left`` and ``right``, equally long, are draws without correlation, at :data:`FALSE_ALARM_RATE`.

    The correlation of n independent pairs is asymptotically normal with variance 1 / n.

    Raises:
        AssertionError: the correlation is too large for chance.
    """
    __tracebackhide__ = True
    from scipy import stats

    RATES_STATED.append(FALSE_ALARM_RATE)
    with np.errstate(invalid="ignore"):  # of a constant it is NaN, which is rejected
        correlation = float(np.corrcoef(left, right)[0, 1])
    p_value = float(2 * stats.norm.sf(abs(correlation) * np.sqrt(len(left))))
    if not p_value >= FALSE_ALARM_RATE:
        raise AssertionError(f"{what} are correlated: {correlation:.3f} over {len(left)} pairs (p = {p_value:.2g})")


def _assert_not_rejected(
    draw: Draw, p_values: Callable[[np.ndarray], Iterator[tuple[str, float]]], expectation: str
) -> None:
    __tracebackhide__ = True
    RATES_STATED.append(FALSE_ALARM_RATE)
    if _rejection(draw, p_values, FIRST_LEVEL) is None:
        return
    rejection = _rejection(draw, p_values, SECOND_LEVEL)
    if rejection is not None:
        raise AssertionError(f"{expectation}\nseen a sample rejected by {rejection}, twice in independent draws")


def _rejection(draw: Draw, p_values: Callable[[np.ndarray], Iterator[tuple[str, float]]], level: float) -> str | None:
    tests = list(p_values(to_numpy(draw()).ravel()))
    for name, p_value in tests:
        if p_value < level / len(tests):
            return f"{name} (p = {p_value:.2g}, level {level / len(tests):.2g})"
    return None


def _describe(distribution: Any) -> str:
    arguments = [f"{value:.6g}" for value in distribution.args]
    arguments += [f"{key}={value:.6g}" for key, value in distribution.kwds.items()]
    return f"{distribution.dist.name}({', '.join(arguments)})"
