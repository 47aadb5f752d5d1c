"""Statistical tests: they ring as rarely as they say, and notice what they are there for."""

import numpy as np
import pytest
import torch
from scipy import stats

from torchclaims import chance
from torchclaims.targets import from_numpy


def draws(generator, distribution, size=20_000):
    return lambda: from_numpy(distribution.rvs(size=size, random_state=generator))


@pytest.mark.parametrize("distribution", [stats.norm(1, 3), stats.uniform(-2, 5), stats.truncnorm(-1, 2)])
def test_the_right_distribution_is_accepted(rng, distribution):
    chance.assert_follows(draws(rng, distribution), distribution, what="sample")
    assert [chance.FALSE_ALARM_RATE] == chance.RATES_STATED


WRONG = {
    "scale 6 % too large": (stats.norm(0, 1.06), stats.norm(0, 1)),
    "shifted": (stats.norm(0.06, 1), stats.norm(0, 1)),
    "uniform of the same variance": (stats.uniform(-(3**0.5), 2 * 3**0.5), stats.norm(0, 1)),
    "uniform, bound 5 % too small": (stats.uniform(-0.95, 1.9), stats.uniform(-1, 2)),
}


@pytest.mark.parametrize(("drawn", "expected"), WRONG.values(), ids=WRONG)
def test_the_wrong_distribution_is_noticed(rng, drawn, expected):
    with pytest.raises(AssertionError, match="twice in independent draws"):
        chance.assert_follows(draws(rng, drawn), expected, what="sample")


def test_the_wrong_rate_is_noticed(rng):
    chance.assert_rate(lambda: torch.rand(20_000) < 0.3, 0.3, what="rate")
    with pytest.raises(AssertionError, match=r"expected true with probability 0\.3"):
        chance.assert_rate(lambda: torch.rand(20_000) < 0.34, 0.3, what="rate")


@pytest.mark.parametrize("distribution", [stats.norm(0, 2), stats.uniform(-1, 2)])
def test_the_first_level_is_kept(rng, distribution):
    # Of 400 samples a test at level 0.05 rejects at most 37 but for one time in 10,000 (binomial, p = 0.05).
    def rejected():
        sample = distribution.rvs(size=500, random_state=rng)
        mean, variance = distribution.stats()
        score = (np.mean((sample - mean) ** 2) / variance - 1) / np.sqrt((distribution.stats("k") + 2) / 500)
        return min(stats.kstest(sample, distribution.cdf).pvalue, 2 * stats.norm.sf(abs(score))) < 0.05 / 2

    assert sum(rejected() for _ in range(400)) <= stats.binom.ppf(1 - 1e-4, 400, 0.055)


def test_one_rejection_is_not_a_failure(rng):
    samples = iter([stats.norm(5, 1).rvs(100, random_state=rng), stats.norm(0, 1).rvs(100, random_state=rng)])
    chance.assert_follows(lambda: from_numpy(next(samples)), stats.norm(0, 1), what="sample")


def test_correlation_is_noticed(rng):
    left, right = rng.standard_normal((2, 10_000))
    chance.assert_uncorrelated(left, right, what="draws")
    for related in (left + 10 * right, left):
        with pytest.raises(AssertionError, match="draws are correlated"):
            chance.assert_uncorrelated(left, related, what="draws")
    with pytest.raises(AssertionError, match="draws are correlated: nan"):
        chance.assert_uncorrelated(left, np.zeros(10_000), what="draws")
