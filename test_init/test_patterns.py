"""The functions of torch.nn.init that draw nothing."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.tolerance import assert_same

DIRAC = [
    pytest.param((4, 3, 3), 1, id="1d"),
    pytest.param((3, 4, 5, 2), 1, id="2d-even"),
    pytest.param((6, 2, 1, 3), 2, id="2d-groups"),
    pytest.param((6, 3, 3, 2, 5), 3, id="3d-groups"),
]


def blank(cell, *shape):
    return cell.tensor(np.full(shape, 9.0))


@claim("init-constant")
@pytest.mark.parametrize(
    ("name", "options", "value"),
    [("constant_", {"val": 0.3}, 0.3), ("ones_", {}, 1.0), ("zeros_", {}, 0.0)],
    ids=["constant_", "ones_", "zeros_"],
)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4, 5)], ids=["scalar", "vector", "4d"])
def test_constant(cell, name, options, value, shape):
    filled = getattr(nn.init, name)(blank(cell, *shape), **options)
    assert_same(filled, cell.tensor(np.full(shape, value)), what=name)


@claim("init-eye")
@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2)], ids=["square", "wide", "tall"])
def test_eye(cell, shape):
    assert_same(nn.init.eye_(blank(cell, *shape)), cell.tensor(np.eye(*shape)), what="eye_")


@claim("init-dirac")
@pytest.mark.parametrize(("shape", "groups"), DIRAC)
def test_dirac(cell, shape, groups):
    expected = np.zeros(shape)
    group_size = shape[0] // groups
    for row in range(shape[0]):
        if row % group_size < shape[1]:
            expected[(row, row % group_size, *(size // 2 for size in shape[2:]))] = 1
    assert_same(nn.init.dirac_(blank(cell, *shape), groups), cell.tensor(expected), what="dirac_")


@claim("init-dirac-identity")
@pytest.mark.parametrize(
    ("channels", "groups"),
    [((3, 3), 1), ((3, 5), 1), ((5, 3), 1), ((4, 6), 2)],
    ids=["equal", "more", "less", "groups"],
)
def test_dirac_preserves_its_input(cell, rng, channels, groups):
    conv = cell.place(nn.Conv2d(*channels, (3, 5), padding="same", groups=groups, bias=False))
    nn.init.dirac_(conv.weight, groups)
    # Small integers survive products in TF32 too.
    x = cell.tensor(rng.integers(-8, 9, (2, channels[0], 4, 6)))
    y = torch.zeros(2, channels[1], 4, 6, dtype=cell.dtype, device=cell.device.name)
    for group in range(groups):
        kept = min(channels) // groups
        into, out = group * channels[0] // groups, group * channels[1] // groups
        y[:, out : out + kept] = x[:, into : into + kept]
    assert_same(conv(x), y, what="a convolution with a Dirac kernel")
