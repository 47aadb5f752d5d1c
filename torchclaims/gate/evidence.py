"""Evidence about the centre of symmetry of log ratios, valid at whatever pair one stops: e-processes and their bounds.

If two builds are equal and a fair coin tosses anew which of them runs first, the log ratio x of a pair of processes is
exactly symmetric about 0, given all that came before: however heavy its tails, whatever its modes and its drift. So,
given |x|, its sign is a fair coin, and for every density f

    e(x) = 2 f(x - d) / (f(x - d) + f(x + d))

has mean 1 (the likelihood ratio of f, moved by d, to its symmetrised self). Products of such factors over the pairs,
and averages of them over several f, are nonnegative martingales: the chance of ever reaching 1 / a is at most a
(Ville's inequality; V. Vovk and R. Wang, "Nonparametric e-tests of symmetry", New England Journal of Statistics in
Data Science, 2024; A. Ramdas, J. Ruf, M. Larsson and W. Koolen, "Admissible anytime-valid sequential inference must
rely on nonnegative martingales", 2020, on the symmetric class). One may look after each pair and stop at will. A
slowdown by a constant factor moves the centre of symmetry, and the same holds about that centre.

f is the logistic density. It is log-concave: e(x) grows with x, so that what refutes one centre refutes all smaller
ones, and the bounds below are those of an interval. Its log ratio is bounded: no single pair weighs much. Its
displacement is d = log(1 + threshold) or half of that, its scale one of SCALES x d, all with equal weight: no scale is
estimated, and the order of the pairs does not matter. Fewer than log2(1 / a) pairs refute nothing at level a, nor
should they: so many equal signs are chance. `selftests/gate_power.py` compares this with t-tests by simulation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

Floats = NDArray[np.float64]

SCALES = (0.1, 0.2, 0.4, 0.8, 1.6)  # in units of the displacement: quiet machines to those with a busy neighbour
DENSITIES = 2 * len(SCALES)


@cache
def _densities(shift: float) -> tuple[Floats, Floats]:
    """Displacements, of the moved and of the mirrored density, and scales."""
    displacements, scales = (grid.ravel() for grid in np.meshgrid((shift, shift / 2), shift * np.array(SCALES)))
    return np.stack([displacements, -displacements]), scales


def log_factors(y: Floats, shift: float) -> Floats:
    """log e(y) for each density, along a new last axis; `shift` = log(1 + threshold). Against "centre <= 0"."""
    displacements, scales = _densities(shift)
    z = np.abs((y[..., None, None] - displacements) / scales)
    log_density = -z - 2 * np.log1p(np.exp(-z))
    moved, mirrored = log_density[..., 0, :], log_density[..., 1, :]
    result: Floats = math.log(2) - np.logaddexp(0, mirrored - moved)
    return result


def log_mean_exp(logs: Floats) -> Floats:
    """log(mean(exp(logs))) over the last axis, without overflow."""
    largest = logs.max(axis=-1, keepdims=True)
    result: Floats = np.log(np.exp(logs - largest).mean(axis=-1)) + largest[..., 0]
    return result


def log_evidence(y: Floats, shift: float) -> float:
    """Logarithm of the e-value of `y`, one value a pair, against "the centre of symmetry is <= 0"."""
    return float(log_mean_exp(log_factors(y, shift).sum(axis=0)))


def lower_bound(y: Floats, shift: float, level: float) -> float:
    """The centre up to which all are refuted at `level`; -inf if none is."""
    wanted = -math.log(level)
    lowest, highest = float(y.min()) - 100 * shift, float(y.max())
    if log_evidence(y - lowest, shift) <= wanted:
        return -math.inf
    return float(brentq(lambda centre: log_evidence(y - centre, shift) - wanted, lowest, highest))


def centre(y: Floats) -> float:
    """The median of the means of every two values (J. Hodges and E. Lehmann, Annals of Mathematical Statistics 34)."""
    first, second = np.triu_indices(len(y))
    return float(np.median((y[first] + y[second]) / 2))


def detectable(y: Floats, shift: float, level: float) -> float:
    """The smallest centre of as many values, as scattered as these, with which they would mostly refute "<= 0".

    By the normal approximation to the 5 % quantile of the sum of log factors, those of the values' distances from their
    centre, with either sign. It is met in about nine of ten cases, and in seven where values are so few that their
    scatter is known badly. inf if no centre would do.
    """
    wanted, distances = -math.log(level), y - centre(y)
    scattered = np.concatenate([distances, -distances])

    def surplus(displacement: float) -> float:
        logs = log_factors(scattered + displacement, shift)
        quantiles = logs.mean(axis=0) * len(y) - norm.ppf(0.95) * logs.std(axis=0) * math.sqrt(len(y))
        return float(log_mean_exp(quantiles)) - wanted

    highest = float(scattered.max()) + 100 * shift
    return float(brentq(surplus, 0.0, highest)) if surplus(highest) > 0 else math.inf


def holm(log_evidences: Iterable[float], alpha: float) -> float:
    """The level at which Holm's procedure ends: hypotheses with an e-value of at least 1 / level are refuted.

    At most `alpha` that any true one is among them, however they depend on each other (S. Holm, Scandinavian Journal
    of Statistics 6, 1979), at any stopping time, as 1 / e is a p-value at any stopping time.
    """
    evidences = list(log_evidences)
    level, refuted = alpha / len(evidences), 0
    while (now := sum(evidence >= -math.log(level) for evidence in evidences)) > refuted:
        level, refuted = alpha / max(1, len(evidences) - now), now
    return level
