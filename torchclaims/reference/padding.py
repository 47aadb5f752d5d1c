"""Padding as a choice of source elements: which element of an axis each element of the padded axis is a copy of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torchclaims.reference.windows import Array

FILL = -1


def sources(size: int, before: int, after: int, mode: str) -> Array:
    """For each element of the padded axis its source's index, or FILL where the padding is constant.

    A negative number takes elements away: from a circle before it is closed, from other paddings at any time.
    """
    inside = np.arange(size)[max(0, -before) : size - max(0, -after)]
    more = (max(0, before), max(0, after))
    if mode == "constant":
        return np.pad(inside, more, constant_values=FILL)
    if mode == "circular":
        return np.pad(inside, more, mode="wrap")
    whole = np.pad(np.arange(size), more, mode="edge" if mode == "replicate" else "reflect")
    return whole[max(0, -before) : len(whole) - max(0, -after)]


def pad(x: Array, paddings: Sequence[tuple[int, int]], mode: str, value: float = 0.0) -> Array:
    """``x`` with its last axes padded, the last one by the first pair."""
    for axis, ends in zip(range(x.ndim - 1, -1, -1), paddings, strict=False):
        chosen = sources(x.shape[axis], *ends, mode)
        if not x.shape[axis]:
            chosen, x = np.zeros_like(chosen), np.full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), value)
        x = np.take(x, chosen, axis)
        np.moveaxis(x, axis, -1)[..., chosen == FILL] = value
    return x


def pad_backward(grad: Array, sizes: Sequence[int], paddings: Sequence[tuple[int, int]], mode: str) -> Array:
    """Each element of the input, whose shape is ``sizes``, receives the sum over its copies."""
    for axis, ends in zip(range(grad.ndim - 1, -1, -1), paddings, strict=False):
        chosen = sources(sizes[axis], *ends, mode)
        copies = (chosen[:, None] == np.arange(sizes[axis])).astype(float)
        grad = np.moveaxis(np.tensordot(copies, grad, (0, axis)), 0, axis)
    return grad
