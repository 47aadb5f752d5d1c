"""Sliding windows over the trailing dimensions of an array: the geometry of convolution and pooling."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray
Ints = tuple[int, ...]


@dataclass(frozen=True)
class Windows:
    """Windows of ``kernel`` elements, ``dilation`` apart, one every ``stride``; a number a dimension.

    ``padding`` is how much is added before the first element and after the last. With ``ceil_mode`` a
    last window may reach beyond the padding, but it must start within the input or the padding before it.
    """

    kernel: Ints
    stride: Ints
    padding: tuple[tuple[int, int], ...]
    dilation: Ints
    ceil_mode: bool = False

    @classmethod
    def of(
        cls, kernel: Ints, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ) -> Windows:
        """Windows as PyTorch's layers describe them: one number for all dimensions, padding for both ends."""
        dims = len(kernel)
        pads = tuple((pad, pad) for pad in _each(padding, dims))
        return cls(kernel, _each(stride, dims), pads, _each(dilation, dims), ceil_mode)

    def counts(self, sizes: Ints) -> Ints:
        """How many windows fit, in each dimension: floor((size + padding - extent) / stride) + 1."""
        return tuple(self._count(size, dim) for dim, size in enumerate(sizes))

    def _count(self, size: int, dim: int) -> int:
        (before, after), stride = self.padding[dim], self.stride[dim]
        room = size + before + after - self._extent(dim)
        if not self.ceil_mode:
            return room // stride + 1
        count = -(-room // stride) + 1
        starts_after_the_input = (count - 1) * stride >= size + before
        return count - starts_after_the_input

    def _extent(self, dim: int) -> int:
        return self.dilation[dim] * (self.kernel[dim] - 1) + 1

    def padded(self, x: Array, value: float, beyond: float | None = None) -> Array:
        """``x`` with its padding of ``value``, and of ``beyond`` where windows reach beyond the padding."""
        sizes = x.shape[-len(self.kernel) :]
        lead = [(0, 0)] * (x.ndim - len(self.kernel))
        overhang = [
            (
                0,
                max(
                    0,
                    (count - 1) * self.stride[dim] + self._extent(dim) - sizes[dim] - sum(self.padding[dim]),
                ),
            )
            for dim, count in enumerate(self.counts(sizes))
        ]
        inner = np.pad(x, [*lead, *self.padding], constant_values=value)
        return np.pad(inner, [*lead, *overhang], constant_values=value if beyond is None else beyond)

    def cropped(self, padded: Array, sizes: Ints) -> Array:
        """What ``padded`` holds at the places of the input, whose spatial size is ``sizes``."""
        inside = tuple(slice(pad[0], pad[0] + size) for pad, size in zip(self.padding, sizes, strict=True))
        return padded[leading(inside)]

    def taps(self, sizes: Ints) -> Iterator[tuple[Ints, tuple[Any, ...]]]:
        """For each element of the kernel, in row-major order: its place, and the index that picks what it
        meets, in every window, from a padded array."""
        counts = self.counts(sizes)
        for place in itertools.product(*map(range, self.kernel)):
            steps = zip(place, self.dilation, self.stride, counts, strict=True)
            yield (
                place,
                (
                    ...,
                    *(slice(p * apart, p * apart + step * (count - 1) + 1, step) for p, apart, step, count in steps),
                ),
            )


def leading(index: tuple[Any, ...]) -> Any:
    """An index of the trailing dimensions, for an array with any number of dimensions before them."""
    return (..., *index)


def _each(value: Any, dims: int) -> Ints:
    return (value,) * dims if isinstance(value, int) else tuple(value)
