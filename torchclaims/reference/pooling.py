"""Max, average, adaptive and power-average pooling and unpooling, forward and backward."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from torchclaims.reference.windows import Array, Windows, leading


class Maxima(NamedTuple):
    """The largest element of each window and its place in the plane, counted in row-major order."""

    values: Array
    places: Array


def max_pool(x: Array, windows: Windows) -> Maxima:
    """The largest element of each window, the first of equals, NaN before all; padding is minus infinity."""
    sizes = x.shape[-len(windows.kernel) :]
    padded = windows.padded(x, -np.inf)
    numbers = windows.padded(np.arange(np.prod(sizes)).reshape(sizes), -1)
    met = np.stack([padded[tap] for _, tap in windows.taps(sizes)])
    numbered = np.stack([np.broadcast_to(numbers[tap], met.shape[1:]) for _, tap in windows.taps(sizes)])
    first = np.where(numbered >= 0, met, -np.inf).argmax(0)[None]
    return Maxima(np.take_along_axis(met, first, 0)[0], np.take_along_axis(numbered, first, 0)[0])


def max_pool_backward(grad: Array, places: Array, sizes: tuple[int, ...]) -> Array:
    """The gradient of each maximum goes to its place; windows that share a maximum add up."""
    planes = grad.shape[: grad.ndim - len(sizes)]
    rows = np.zeros((math.prod(planes), math.prod(sizes)))
    windows = len(rows), math.prod(grad.shape[len(planes) :])
    for row, numbers, values in zip(rows, places.reshape(windows), grad.reshape(windows), strict=True):
        np.add.at(row, numbers, values)
    return rows.reshape(*planes, *sizes)


def avg_pool(x: Array, windows: Windows, count_include_pad: bool = True, divisor: int | None = None) -> Array:
    """The sum of each window over ``divisor``, or over how many of its elements lie in the input, or in
    its padding where that counts."""
    sizes = x.shape[-len(windows.kernel) :]
    return _window_sums(windows.padded(x, 0.0), windows, sizes) / _counts(windows, sizes, count_include_pad, divisor)


def avg_pool_backward(
    grad: Array,
    sizes: tuple[int, ...],
    windows: Windows,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Array:
    """Each element of a window receives the window's gradient over its divisor."""
    padded = windows.padded(np.zeros((*grad.shape[: grad.ndim - len(sizes)], *sizes)), 0.0)
    shares = grad / _counts(windows, sizes, count_include_pad, divisor)
    for _, tap in windows.taps(sizes):
        padded[tap] += shares
    return windows.cropped(padded, sizes)


def _counts(windows: Windows, sizes: tuple[int, ...], count_include_pad: bool, divisor: int | None) -> Array | int:
    if divisor is not None:
        return divisor
    counted = windows.padded(np.ones(sizes), float(count_include_pad), beyond=0.0)
    return _window_sums(counted, windows, sizes)


def _window_sums(padded: Array, windows: Windows, sizes: tuple[int, ...]) -> Array:
    total: Array = sum(padded[tap] for _, tap in windows.taps(sizes))
    return total


def adaptive_bins(size: int, count: int) -> list[tuple[int, int]]:
    """``count`` bins of a line of ``size``, each from floor(i size / count) up to ceil((i + 1) size / count)."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _bins(sizes: tuple[int, ...], counts: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """The place of each output, and the part of the input that it is taken from."""
    axes = [adaptive_bins(size, count) for size, count in zip(sizes, counts, strict=True)]
    for place in itertools.product(*(range(count) for count in counts)):
        yield place, tuple(slice(*axis[i]) for axis, i in zip(axes, place, strict=True))


def adaptive_avg_pool(x: Array, counts: tuple[int, ...]) -> Array:
    """The mean of each bin."""
    lead = x.shape[: x.ndim - len(counts)]
    axes = tuple(range(-len(counts), 0))
    out = np.zeros((*lead, *counts))
    for place, part in _bins(x.shape[len(lead) :], counts):
        out[leading(place)] = x[leading(part)].mean(axes)
    return out


def adaptive_avg_pool_backward(grad: Array, sizes: tuple[int, ...]) -> Array:
    """Each element of a bin receives the bin's gradient over the number of its elements; bins may overlap."""
    counts = grad.shape[grad.ndim - len(sizes) :]
    out = np.zeros((*grad.shape[: grad.ndim - len(sizes)], *sizes))
    for place, part in _bins(sizes, counts):
        share = grad[leading(place)] / math.prod(one.stop - one.start for one in part)
        out[leading(part)] += share.reshape(*share.shape, *[1] * len(sizes))
    return out


def adaptive_max_pool(x: Array, counts: tuple[int, ...]) -> Maxima:
    """The largest element of each bin, a NaN before all, and its place in the plane, in row-major order."""
    sizes = x.shape[x.ndim - len(counts) :]
    lead = x.shape[: x.ndim - len(counts)]
    numbers = np.arange(math.prod(sizes)).reshape(sizes)
    values, places = np.zeros((*lead, *counts)), np.zeros((*lead, *counts), dtype=np.int64)
    for place, part in _bins(sizes, counts):
        met = x[leading(part)].reshape(*lead, numbers[part].size)
        first = met.argmax(-1)
        values[leading(place)] = np.take_along_axis(met, first[..., None], -1)[..., 0]
        places[leading(place)] = numbers[part].reshape(-1)[first]
    return Maxima(values, places)


def max_unpool(x: Array, places: Array, sizes: tuple[int, ...]) -> Array:
    """0 everywhere but at ``places``, counted in row-major order in the plane, where ``x`` is put."""
    lead = x.shape[: x.ndim - len(sizes)]
    out = np.zeros((*lead, math.prod(sizes)))
    rows = (*lead, math.prod(x.shape[len(lead) :]))
    np.put_along_axis(out, places.reshape(rows), x.reshape(rows), -1)
    return out.reshape(*lead, *sizes)


def lp_pool(x: Array, power: float, windows: Windows) -> Array:
    """The power-th root of the sum of each window's powers; the largest absolute value for infinity."""
    if math.isinf(power):
        return max_pool(np.abs(x), windows).values
    return np.asarray(lp_sums(x, power, windows) ** (1 / power))


def lp_sums(x: Array, power: float, windows: Windows) -> Array:
    """The sum of each window's powers; what lies beyond the input does not take part."""
    return _window_sums(windows.padded(x**power, 0.0), windows, x.shape[-len(windows.kernel) :])


def lp_pool_backward(grad: Array, x: Array, power: float, windows: Windows) -> Array:
    """grad x^(p - 1) sum^(1 / p - 1), added over the windows; 0 where a window's sum is 0."""
    sizes = x.shape[-len(windows.kernel) :]
    sums = lp_sums(x, power, windows)
    safe = np.where(sums == 0, 1.0, sums)
    shares = np.where(sums == 0, 0.0, grad * safe ** (1 / power - 1))
    padded = windows.padded(np.zeros(x.shape), 0.0)
    for _, tap in windows.taps(sizes):
        padded[tap] += shares
    return np.asarray(windows.cropped(padded, sizes) * np.where(x == 0, float(power == 1), x ** (power - 1)))
