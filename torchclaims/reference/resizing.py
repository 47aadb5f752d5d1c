"""Resizing along one axis after another, each axis by a matrix; and sampling at the points of a grid.

A matrix of :func:`resize_matrix` has a row for each output element, holding the weights of the input elements; its
transpose carries gradients back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from torchclaims.reference.windows import Array, Ints


def resize(x: Array, matrices: Sequence[Array]) -> Array:
    """``x`` with each of its trailing axes multiplied by the axis' matrix."""
    for axis, matrix in zip(range(x.ndim - len(matrices), x.ndim), matrices, strict=True):
        x = np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)
    return x


def resize_matrix(
    mode: str,
    size: int,
    wanted: int,
    *,
    scale: float | None = None,
    align_corners: bool = False,
    antialias: bool = False,
) -> Array:
    """Weights of ``size`` input elements in ``wanted`` outputs; ``scale`` is the factor of the size, where one is given
    and used, else wanted / size."""
    step = size / wanted if scale is None else 1 / scale
    if antialias:
        return _filtered(mode, size, wanted, step)
    matrix = np.zeros((wanted, size))
    for row in range(wanted):
        if mode == "area":
            first, last = row * size // wanted, -(-(row + 1) * size // wanted)
            matrix[row, first:last] = 1 / (last - first)
        elif mode in ("nearest", "nearest-exact"):
            at = (row + 0.5 * (mode == "nearest-exact")) * step
            matrix[row, min(int(np.floor(at)), size - 1)] = 1
        else:
            at = row * ((size - 1) / (wanted - 1) if wanted > 1 else 0.0) if align_corners else (row + 0.5) * step - 0.5
            for place, weight in _taps(mode, at):
                matrix[row, min(max(place, 0), size - 1)] += weight
    return matrix


def _taps(mode: str, at: float) -> list[tuple[int, float]]:
    """The places around ``at`` and their weights."""
    before = int(np.floor(at))
    kernel, reach = (_triangle, 1) if mode == "linear" else (_cubic(-0.75), 2)
    return [(place, kernel(at - place)) for place in range(before - reach + 1, before + reach + 1)]


def _triangle(x: float) -> float:
    return max(0.0, 1 - abs(x))


def _cubic(a: float) -> Callable[[float], float]:
    """Keys' cubic convolution kernel with the parameter ``a``."""

    def kernel(x: float) -> float:
        x = abs(x)
        if x < 1:
            return ((a + 2) * x - (a + 3)) * x * x + 1
        return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0

    return kernel


def _lanczos(x: float) -> float:
    return float(np.sinc(x) * np.sinc(x / 3)) if abs(x) < 3 else 0.0


_FILTERS = {"linear": (_triangle, 1.0), "cubic": (_cubic(-0.5), 2.0), "lanczos": (_lanczos, 3.0)}


def _filtered(mode: str, size: int, wanted: int, step: float) -> Array:
    """As Pillow resizes: the filter is as wide as an output element covers, and its weights add up to 1."""
    kernel, reach = _FILTERS[mode]
    width = max(step, 1.0)
    matrix = np.zeros((wanted, size))
    for row in range(wanted):
        centre = (row + 0.5) * step
        first, last = max(int(centre - reach * width + 0.5), 0), min(int(centre + reach * width + 0.5), size)
        matrix[row, first:last] = [kernel((place + 0.5 - centre) / width) for place in range(first, last)]
        matrix[row] /= matrix[row].sum()
    return matrix


def places(grid: Array, size: int, align_corners: bool) -> Array:
    """Grid coordinates, -1 to 1, as places in an axis of ``size`` elements: centres or outer edges are the extremes."""
    return (grid + 1) / 2 * (size - 1) if align_corners else ((grid + 1) * size - 1) / 2


def bounded(at: Array, size: int, padding_mode: str, align_corners: bool) -> Array:
    """Places outside the input brought back to its border, or reflected until they lie within it."""
    if padding_mode == "zeros":
        return at
    if padding_mode == "reflection":
        low, high = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)
        if high == low:
            return np.zeros_like(at)
        turns = (at - low) % (2 * (high - low))
        at = low + np.where(turns > high - low, 2 * (high - low) - turns, turns)
    return np.clip(at, 0, size - 1)


def sample_weights(grid: Array, sizes: Ints, mode: str, padding_mode: str, align_corners: bool) -> Array:
    """Weights of all input elements at each point of ``grid`` (N, *points, dims), whose last axis has the coordinate of
    the last dimension first; the result is (N, *points, *sizes)."""
    weights = np.ones((*grid.shape[:-1], *[1] * len(sizes)))
    for dim, size in enumerate(sizes):
        at = places(grid[..., len(sizes) - 1 - dim], size, align_corners)
        along = np.zeros((*at.shape, size))
        for index in np.ndindex(at.shape):
            for place, weight in _grid_taps(float(at[index]), size, mode, padding_mode, align_corners):
                if 0 <= place < size:
                    along[index][place] += weight
        shape = [1] * len(sizes)
        shape[dim] = size
        weights = weights * along.reshape(*at.shape, *shape)
    return weights


def _grid_taps(at: float, size: int, mode: str, padding_mode: str, align_corners: bool) -> list[tuple[int, float]]:
    def inside(value: float) -> float:
        return float(bounded(np.array(value), size, padding_mode, align_corners))

    if mode == "bicubic":
        return [(int(np.rint(inside(place))), weight) for place, weight in _taps("cubic", at)]
    if mode == "nearest":
        return [(int(np.rint(inside(at))), 1.0)]
    return _taps("linear", inside(at))


def grid_sample(x: Array, weights: Array) -> Array:
    """The sum of ``x`` (N, C, *sizes) by ``weights`` (N, *points, *sizes), as (N, C, *points)."""
    dims = x.ndim - 2
    return np.stack(
        [np.tensordot(a, w, (range(1, dims + 1), range(dims, 2 * dims))) for a, w in zip(x, weights, strict=True)]
    )


def affine_grid(theta: Array, sizes: Ints, align_corners: bool) -> Array:
    """theta (x, y, [z,] 1) at each of the ``sizes`` points, as (N, *sizes, dims)."""
    dims = len(sizes)
    axes = [
        np.zeros(n) if n == 1 else np.linspace(-1, 1, n) if align_corners else (2 * np.arange(n) + 1) / n - 1
        for n in sizes
    ]
    grid = np.zeros((len(theta), *sizes, dims))
    for index in product(*map(range, sizes)):
        point = np.array([*(axes[dim][index[dim]] for dim in reversed(range(dims))), 1.0])
        np.moveaxis(grid, 0, -2)[index] = theta @ point
    return grid
