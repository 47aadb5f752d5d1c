"""Dropout of whole channels."""

import numpy as np
import pytest
from torch import nn

from torchclaims import claim
from torchclaims.chance import assert_rate
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within

LAYERS = {1: nn.Dropout1d, 2: nn.Dropout2d, 3: nn.Dropout3d}


@claim("dropout-planes")
@pytest.mark.parametrize("dims", LAYERS)
def test_whole_planes(cell, rng, dims):
    x = cell.tensor(np.abs(rng.normal(size=(4, 16, *(3, 2, 2)[:dims]))) + 0.5, requires_grad=True)
    out = cell.run(LAYERS[dims](0.5))(x)
    out.sum().backward()
    dropped = (to_numpy(out) == 0).reshape(4, 16, -1)
    assert (dropped.all(2) == dropped.any(2)).all(), "a channel is dropped in part"
    expected = np.where(to_numpy(out) == 0, 0, 2.0)
    assert_within(out, expected * to_numpy(x), 0, what="output", because="2 is a power of two")
    assert_within(x.grad, expected, 0, what="gradient", because="2 is a power of two")


@claim("dropout-planes")
@pytest.mark.parametrize("dims", LAYERS)
def test_rate_of_planes(cell, dims):
    drop = cell.run(LAYERS[dims](0.2))
    x = cell.tensor(np.ones((200, 100, *[1] * dims)))
    assert_rate(lambda: drop(x) == 0, 0.2, what="a channel dropped")


@claim("dropout-planes")
@pytest.mark.parametrize("axis", [0, 1], ids=["samples", "channels"])
def test_independent_planes(cell, axis):
    drop = cell.run(nn.Dropout2d(0.3))
    x = cell.tensor(np.ones((100, 100, 1, 1)))

    def alike():
        even, odd = (drop(x) == 0).unflatten(axis, (-1, 2)).unbind(axis + 1)
        return even == odd

    assert_rate(alike, 0.3**2 + 0.7**2, what="two channels dropped or kept alike")
