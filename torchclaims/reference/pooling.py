"""Max and average pooling, forward and backward."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from torchclaims.reference.windows import Array, Windows


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
    rows = np.zeros((int(np.prod(planes)), int(np.prod(sizes))))
    for row, numbers, values in zip(rows, places.reshape(len(rows), -1), grad.reshape(len(rows), -1), strict=True):
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
