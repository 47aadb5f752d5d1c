"""What a convolution refuses, leaving everything as it was."""

import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.tolerance import assert_same

INPUTS = {
    "channels": ((1, 64, 4, 3), r"to have 3 channels, but got 64"),
    "too few dimensions": ((3, 4), r"Expected 3D \(unbatched\) or 4D \(batched\)"),
    "too many dimensions": ((1, 3, 4, 4, 4), r"Expected 3D \(unbatched\) or 4D \(batched\)"),
    "smaller than the kernel": ((1, 3, 2, 4), r"[Kk]ernel size can't be greater than actual input size"),
}


@claim("conv-input-refused")
@pytest.mark.parametrize(("shape", "message"), INPUTS.values(), ids=INPUTS)
def test_input(cell, shape, message):
    layer = cell.place(nn.Conv2d(3, 2, 3))
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    with pytest.raises(RuntimeError, match=message):
        layer(torch.ones(shape, dtype=cell.dtype, device=cell.device.name))
    assert_same(dict(layer.state_dict()), before, what="parameters")


ARGUMENTS = {
    "in_channels": ((3, 4, 3), {"groups": 2}, "in_channels must be divisible by groups"),
    "out_channels": ((4, 3, 3), {"groups": 2}, "out_channels must be divisible by groups"),
    "groups": ((2, 2, 3), {"groups": 0}, "groups must be a positive integer"),
    "padding": ((2, 2, 3), {"padding": "some"}, "Invalid padding string"),
    "padding_mode": ((2, 2, 3), {"padding_mode": "mirror"}, "padding_mode must be one of"),
}


@claim("conv-arguments-refused")
@pytest.mark.parametrize(("arguments", "more", "message"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments(arguments, more, message):
    with pytest.raises(ValueError, match=message):
        nn.Conv2d(*arguments, **more, device="meta")


@claim("conv-padding-same-strided")
@pytest.mark.parametrize("stride", [2, (1, 2)], ids=["both", "one axis"])
def test_same_with_stride(cell, stride):
    with pytest.raises(ValueError, match="not supported for strided"):
        nn.Conv2d(1, 1, 3, stride=stride, padding="same")
    x = torch.ones(1, 1, 4, 4, device=cell.device.name, dtype=cell.dtype)
    with pytest.raises(RuntimeError, match="not supported for strided"):
        nn.functional.conv2d(x, x[..., :3, :3], stride=stride, padding="same")
