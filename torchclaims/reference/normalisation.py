"""Batch, layer, group, instance, root mean square and local response normalisation, forward and backward."""

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


def standardise(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    """(x - mean) / sqrt(variance + eps) with mean and biased variance over ``axes``."""
    centred = x - x.mean(axes, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(axes, keepdims=True) + eps))


def standardise_backward(grad: Array, x: Array, axes: tuple[int, ...], eps: float) -> Array:
    """Gradient with respect to ``x`` of :func:`standardise`, through mean and variance."""
    centred = x - x.mean(axes, keepdims=True)
    inverse = 1 / np.sqrt((centred**2).mean(axes, keepdims=True) + eps)
    normalised = centred * inverse
    along = (grad * normalised).mean(axes, keepdims=True)
    return np.asarray(inverse * (grad - grad.mean(axes, keepdims=True) - normalised * along))


def rms_norm(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    """x / sqrt(eps + mean of x**2 over ``axes``) (Zhang and Sennrich 2019)."""
    return np.asarray(x / np.sqrt(eps + (x**2).mean(axes, keepdims=True)))


def rms_norm_backward(grad: Array, x: Array, axes: tuple[int, ...], eps: float) -> Array:
    """Gradient with respect to ``x`` of :func:`rms_norm`."""
    inverse = 1 / np.sqrt(eps + (x**2).mean(axes, keepdims=True))
    return np.asarray(inverse * grad - inverse**3 * x * (grad * x).mean(axes, keepdims=True))


def windows_of_channels(channels: int, below: int, above: int) -> Array:
    """A matrix whose row c is 1 at the channels from c - ``below`` to c + ``above``, as far as these exist."""
    distance = np.arange(channels)[None, :] - np.arange(channels)[:, None]
    return np.asarray((distance >= -below) & (distance <= above), dtype=np.float64)


def response_norm(x: Array, window: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """x_c / (k + alpha / size * sum over the window of channel c of x**2)**beta, for x (N, C, *).

    Krizhevsky et al. 2012, section 3.3, with alpha divided by the window's size.
    """
    return np.asarray(x * _response_scale(x, window, size, alpha, k) ** -beta)


def response_norm_backward(
    grad: Array, x: Array, window: Array, size: int, alpha: float, beta: float, k: float
) -> Array:
    """Gradient with respect to ``x`` of :func:`response_norm`."""
    scale = _response_scale(x, window, size, alpha, k)
    through_scale = np.einsum("cd,nc...->nd...", window, grad * x * scale ** (-beta - 1))
    return np.asarray(grad * scale**-beta - 2 * alpha * beta / size * x * through_scale)


def _response_scale(x: Array, window: Array, size: int, alpha: float, k: float) -> Array:
    return np.asarray(k + alpha / size * np.einsum("cd,nd...->nc...", window, x**2))


def p_norm(x: Array, p: float, axes: tuple[int, ...]) -> Array:
    """The p-norm of ``x`` over ``axes``, which are kept; p = 0 counts what is not 0, p = inf takes the largest."""
    size = np.abs(x)
    if p == np.inf:
        return np.asarray(size.max(axes, keepdims=True))
    if p == 0:
        return np.asarray((size != 0).sum(axes, keepdims=True), dtype=np.float64)
    return np.asarray((size**p).sum(axes, keepdims=True) ** (1 / p))
