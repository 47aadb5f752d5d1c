"""Flattening, and view() where it cannot flatten."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.tolerance import assert_same

FLATTENED = {
    "default": ({}, (2, 60)),
    "all": ({"start_dim": 0}, (120,)),
    "start": ({"start_dim": 2}, (2, 3, 20)),
    "the first three": ({"start_dim": 0, "end_dim": 2}, (24, 5)),
    "negative": ({"start_dim": -3, "end_dim": -2}, (2, 12, 5)),
    "a single one": ({"start_dim": 1, "end_dim": 1}, (2, 3, 4, 5)),
}


@claim("flatten-order")
@pytest.mark.parametrize(("arguments", "shape"), FLATTENED.values(), ids=FLATTENED)
def test_flatten(cell, arguments, shape):
    # 120 whole numbers are exact in every dtype.
    values = np.arange(120.0).reshape(2, 3, 4, 5)
    x = cell.tensor(values, requires_grad=True)
    out = cell.run(nn.Flatten(**arguments))(x)
    assert_same(out, cell.tensor(values.reshape(shape)), what="flattened")
    out.backward(cell.tensor(values.reshape(shape)))
    assert_same(x.grad, cell.tensor(values), what="gradient")


@claim("flatten-view-refused")
@pytest.mark.parametrize(
    "strides",
    [
        lambda x: x.transpose(2, 3),
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x[..., :2],
    ],
    ids=["transposed", "channels last", "sliced"],
)
def test_strides_that_no_view_can_have(cell, rng, strides):
    x = strides(cell.tensor(rng.normal(size=(2, 3, 4, 5))))
    with pytest.raises(RuntimeError, match="view size is not compatible with input tensor's size and stride"):
        x.view(2, -1)
    assert_same(x.flatten(1), torch.stack([sample.reshape(-1) for sample in x]), what="flattened copy")


@claim("flatten-view-refused")
def test_a_view_shares_memory(cell, rng):
    x = cell.tensor(rng.normal(size=(2, 3, 4)))
    view = x.view(x.size(0), -1)
    view[1, 11] = 7
    assert view.data_ptr() == x.data_ptr()
    assert float(x[1, 2, 3]) == 7
