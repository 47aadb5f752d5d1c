"""The input layouts of the three batch normalisations, each with few values per channel, unequal sizes.

Few values per channel tell the biased variance from the unbiased one: with n = 4 they differ by a third.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims.targets import Cell

LAYOUTS = {
    "1d": (nn.BatchNorm1d, (4, 3)),
    "1d-sequence": (nn.BatchNorm1d, (2, 3, 5)),
    "2d": (nn.BatchNorm2d, (4, 3, 2, 2)),
    "2d-one-column": (nn.BatchNorm2d, (3, 5, 4, 1)),
    "2d-one-sample": (nn.BatchNorm2d, (1, 3, 4, 5)),
    "2d-many-channels": (nn.BatchNorm2d, (2, 19, 1, 3)),
    "3d": (nn.BatchNorm3d, (2, 3, 2, 1, 3)),
}

every_layout = pytest.mark.parametrize(("batch_norm", "shape"), LAYOUTS.values(), ids=LAYOUTS)


def per_channel(values: np.ndarray | list[float], dimensions: int) -> np.ndarray:
    """``values`` of shape (C,), so that they broadcast against (N, C, *spatial)."""
    return np.asarray(values).reshape((1, -1) + (1,) * (dimensions - 2))


def channels_of_unlike_scale(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal values whose mean and scale differ by channel, from sigma = 0.01, where eps shows, to sigma = 2."""
    count = shape[1]
    means = per_channel(np.linspace(-0.5, 1.0, count), len(shape))
    scales = per_channel(np.geomspace(0.01, 2.0, count), len(shape))
    return means + scales * rng.standard_normal(shape)


def other_axes(x: np.ndarray) -> tuple[int, ...]:
    """All axes but the channels'."""
    return tuple(axis for axis in range(x.ndim) if axis != 1)


def place(cell: Cell, bn: nn.Module) -> nn.Module:
    """``bn`` on the cell's device, in its dtype; for half-precision inputs in float32, as autocast leaves it.

    Statistics are kept in the parameters' dtype, and half precision would not tell the formula from its neighbours.
    """
    cell.place(bn)
    return bn if cell.dtype == torch.float64 else bn.float()
