"""Learning-rate schedules as formulas of the epoch, and the plateau rule as a small state machine.

``epochs`` counts completed scheduler steps, ``base`` holds the initial rate of each group; the result has a
row for each epoch and a column for each group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray
Curve = Callable[[Array], Array]


def step_decay(epochs: Array, base: Array, step_size: int, gamma: float) -> Array:
    """base * gamma^floor(epoch / step_size)."""
    return np.outer(gamma ** (epochs // step_size), base)


def multi_step_decay(epochs: Array, base: Array, milestones: Sequence[int], gamma: float) -> Array:
    """base * gamma^(number of milestones that the epoch has reached, each as often as it is listed)."""
    return np.outer([gamma ** sum(milestone <= epoch for milestone in milestones) for epoch in epochs], base)


def exponential_decay(epochs: Array, base: Array, gamma: float) -> Array:
    """base * gamma^epoch."""
    return np.outer(gamma**epochs, base)


def cosine_annealing(epochs: Array, base: Array, period: float | Array, minimum: float) -> Array:
    """minimum + (base - minimum) * (1 + cos(pi * epoch / period)) / 2 (SGDR, equation 5)."""
    return minimum + np.outer((1 + np.cos(np.pi * epochs / period)) / 2, base - minimum)


def cosine_warm_restarts(epochs: Array, base: Array, first: int, growth: int, minimum: float) -> Array:
    """Cosine annealing that restarts after ``first`` epochs, then after periods that grow by ``growth``."""
    rows = []
    for epoch in epochs:
        start, period = 0, first
        while epoch >= start + period:
            start, period = start + period, period * growth
        rows.append(cosine_annealing(np.array([epoch - start]), base, period, minimum)[0])
    return np.array(rows)


def scaled(epochs: Array, base: Array, factors: Sequence[Callable[[int], float]]) -> Array:
    """base * factor(epoch), with a function of the epoch for each group."""
    return np.array([[rate * factor(int(t)) for rate, factor in zip(base, factors, strict=True)] for t in epochs])


def multiplied(epochs: Array, base: Array, factor: Callable[[int], float]) -> Array:
    """base * factor(1) * ... * factor(epoch)."""
    return np.outer([np.prod([factor(k) for k in range(1, int(epoch) + 1)]) for epoch in epochs], base)


def constant_start(epochs: Array, base: Array, factor: float, total: int) -> Array:
    """base * factor before epoch ``total``, base from then on."""
    return np.outer(np.where(epochs < total, factor, 1.0), base)


def linear_ramp(epochs: Array, base: Array, start: float, end: float, total: int) -> Array:
    """base times a factor that goes from ``start`` to ``end`` on a straight line, and stays there."""
    return np.outer(start + (end - start) * np.minimum(epochs, total) / total, base)


def polynomial_decay(epochs: Array, base: Array, total: int, power: float) -> Array:
    """base * (1 - min(epoch, total) / total)^power."""
    return np.outer((1 - np.minimum(epochs, total) / total) ** power, base)


def straight(share: Array) -> Array:
    """A straight line from 0 to 1."""
    return share


def half_cosine(share: Array) -> Array:
    """Half a cosine wave from 0 to 1."""
    return (1 - np.cos(np.pi * share)) / 2


def through(epochs: Array, corners: Sequence[tuple[float, float]], curve: Curve = straight) -> Array:
    """The value at each epoch on a path through ``corners``, (epoch, value) each, joined by ``curve``."""
    x, y = np.array(corners, dtype=np.float64).T
    right = np.clip(np.searchsorted(x, epochs), 1, len(x) - 1)
    left = right - 1
    path: Array = y[left] + (y[right] - y[left]) * curve((epochs - x[left]) / (x[right] - x[left]))
    return path


def plateau(
    metrics: Sequence[float],
    base: Array,
    *,
    mode: str = "min",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: str = "rel",
    cooldown: int = 0,
    min_lr: float | Sequence[float] = 0.0,
    eps: float = 1e-8,
) -> Array:
    """The rates after each metric: reduced after more than ``patience`` epochs without improvement.

    The first metric is the baseline. An improvement passes the best metric so far by more than the threshold.
    The ``cooldown`` epochs after a reduction use up no patience, but may set a new best metric.
    A reduction stops at ``min_lr``, and one of less than ``eps`` is not made.
    """
    sign = 1 if mode == "max" else -1
    rates, rows = np.array(base, dtype=np.float64), []
    best, stale, resting = None, 0, 0
    for metric in metrics:
        if best is None:
            improved = True
        else:
            margin = threshold * (best if threshold_mode == "rel" else 1)
            improved = sign * metric > sign * best + margin
        best = metric if improved else best
        if resting or improved:
            stale = 0
        else:
            stale += 1
        resting = max(resting - 1, 0)
        if stale > patience:
            reduced = np.maximum(rates * factor, min_lr)
            rates = np.where(rates - reduced < eps, rates, reduced)
            stale, resting = 0, cooldown
        rows.append(rates)
    return np.array(rows)
