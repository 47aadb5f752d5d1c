"""Batch normalisation forward and backward, and its running statistics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

Array = np.ndarray


class BatchStatistics(NamedTuple):
    """Per-channel statistics of a batch, each of shape (C,)."""

    mean: Array
    biased_variance: Array
    unbiased_variance: Array


def batch_statistics(x: Array) -> BatchStatistics:
    """Mean and variances of ``x`` (N, C, *spatial) per channel, over all other dimensions."""
    per_channel = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    count = per_channel.shape[1]
    mean = per_channel.sum(1) / count
    squares = ((per_channel - mean[:, None]) ** 2).sum(1)
    return BatchStatistics(mean, squares / count, squares / (count - 1) if count > 1 else np.full_like(squares, np.nan))


def normalise(x: Array, mean: Array, variance: Array, eps: float, weight: Array | None, bias: Array | None) -> Array:
    """(x - mean) / sqrt(variance + eps) * weight + bias, per channel (Ioffe and Szegedy 2015, algorithm 1)."""
    result = (x - _column(mean, x)) / np.sqrt(_column(variance, x) + eps)
    if weight is not None:
        result = result * _column(weight, x)
    if bias is not None:
        result = result + _column(bias, x)
    return np.asarray(result)


def batch_norm(x: Array, eps: float, weight: Array | None = None, bias: Array | None = None) -> Array:
    """Batch normalisation as in training: with the batch's mean and biased variance."""
    statistics = batch_statistics(x)
    return normalise(x, statistics.mean, statistics.biased_variance, eps, weight, bias)


def batch_norm_backward(grad: Array, x: Array, eps: float, weight: Array | None = None) -> tuple[Array, Array, Array]:
    """Gradients with respect to ``x``, weight and bias, of batch normalisation as in training.

    The chain rule through the batch's mean and variance (Ioffe and Szegedy 2015, section 3).
    """
    axes = _other_axes(x)
    statistics = batch_statistics(x)
    count = x.size // x.shape[1]
    inverse = 1 / np.sqrt(_column(statistics.biased_variance, x) + eps)
    centred = x - _column(statistics.mean, x)
    normalised = centred * inverse
    scaled = grad if weight is None else grad * _column(weight, x)
    grad_variance = (scaled * centred).sum(axes, keepdims=True) * -0.5 * inverse**3
    grad_mean = -(scaled * inverse).sum(axes, keepdims=True)
    grad_x = scaled * inverse + grad_variance * 2 * centred / count + grad_mean / count
    return grad_x, (grad * normalised).sum(axes), grad.sum(axes)


def running_statistics(
    batches: Iterable[Array], momentum: float | None, mean: Array, variance: Array
) -> tuple[Array, Array]:
    """Running mean and variance after ``batches``: new = (1 - momentum) * old + momentum * batch.

    The variance is the unbiased one. ``momentum=None`` is the cumulative average of all batches.
    """
    for number, batch in enumerate(batches, start=1):
        statistics = batch_statistics(batch)
        factor = 1 / number if momentum is None else momentum
        mean = (1 - factor) * mean + factor * statistics.mean
        variance = (1 - factor) * variance + factor * statistics.unbiased_variance
    return mean, variance


def _column(values: Array, x: Array) -> Array:
    return values.reshape((1, -1) + (1,) * (x.ndim - 2))


def _other_axes(x: Array) -> tuple[int, ...]:
    return tuple(axis for axis in range(x.ndim) if axis != 1)
