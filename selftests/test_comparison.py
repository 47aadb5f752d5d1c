"""Inputs that no rounding can push over a bend of a formula."""

import numpy as np
import pytest
import torch

from torchclaims.comparison import DRAWS, off_bends
from torchclaims.reference.differentiation import positive_part
from torchclaims.targets import Cell, Device, to_numpy

CELL = Cell(Device("cpu", "cpu"), torch.bfloat16)


def hinge(x, **parameters):
    return positive_part(x - parameters.get("threshold", 1.0))


def drawn(rng, count=8):
    return lambda: [CELL.tensor(rng.standard_normal(count))]


@pytest.mark.parametrize("margin", [None, 0.1])
def test_inputs_are_off_every_bend(margin):
    rng = np.random.default_rng(0)
    for _ in range(50):
        (x,) = off_bends(CELL, hinge, drawn(rng), margin=margin)
        assert (np.abs(to_numpy(x) - 1) > (margin or 0)).all()


def test_bends_move_with_parameters():
    rng = np.random.default_rng(0)
    threshold = CELL.tensor([0.0])
    for _ in range(50):
        (x,) = off_bends(CELL, hinge, drawn(rng), {"threshold": threshold}, margin=0.2)
        assert (np.abs(to_numpy(x)) > 0.2).all()


def test_inputs_that_are_always_at_a_bend_are_refused():
    with pytest.raises(ValueError, match=f"none of {DRAWS} draws is off every bend"):
        off_bends(CELL, hinge, lambda: [CELL.tensor([1.0])])
