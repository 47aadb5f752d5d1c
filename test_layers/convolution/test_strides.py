"""Strides of dimensions that have one element: they name no other element, so nothing may depend on them.

Numbers are whole and small, so that sums are exact in any order.
"""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.convolution import convolve, convolve_backward
from torchclaims.reference.windows import Windows
from torchclaims.tolerance import assert_within

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def channels_last(x):
    return x.contiguous(memory_format=CHANNELS_LAST[x.dim()])


def turned(x):
    """Channels last, as if made with the first and last spatial dimensions exchanged, and then turned."""
    return channels_last(x.transpose(2, -1)).transpose(2, -1)


# (x, weight, groups), and how each lies in memory
CASES = {
    "one group": ((2, 4, 3, 3), (4, 4, 3, 1), 1, channels_last, turned),
    "two groups": ((2, 4, 3, 3), (4, 2, 3, 1), 2, channels_last, turned),
    "two groups, one row": ((2, 4, 3, 3), (4, 2, 1, 3), 2, channels_last, turned),
    "depthwise": ((2, 4, 3, 3), (4, 1, 3, 1), 4, channels_last, turned),
    "two groups, both turned": ((2, 4, 3, 3), (4, 2, 3, 1), 2, turned, turned),
    "narrow input": ((2, 4, 2, 1), (4, 2, 1, 1), 2, turned, channels_last),
    "in 3-D, one group": ((2, 4, 3, 3, 3), (4, 4, 3, 1, 1), 1, channels_last, turned),
    "in 3-D, two groups": ((2, 4, 3, 3, 3), (4, 2, 3, 1, 1), 2, channels_last, turned),
}


def whole(shape):
    return (np.arange(np.prod(shape)) * 5 % 7 - 3.0).reshape(shape)


@claim("conv-strides-of-one")
@pytest.mark.parametrize(("x", "weight", "groups", "lay_x", "lay_weight"), CASES.values(), ids=CASES)
def test_forward(cell, x, weight, groups, lay_x, lay_weight):
    inputs = lay_x(cell.tensor(whole(x)))
    kernels = lay_weight(cell.tensor(whole(weight)))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)  # with one, three dimensions go another way
        out = cell.run(getattr(nn.functional, f"conv{len(x) - 2}d"))(inputs, kernels, groups=groups)
    finally:
        torch.set_num_threads(threads)
    expected = convolve(whole(x), whole(weight), None, Windows.of(weight[2:]), groups)
    assert_within(out, expected, 0.0, what="output", because="whole numbers are exact")


BACKWARD = {
    **{name: (*CASES[name], 0) for name in ("one group", "two groups", "depthwise", "two groups, both turned")},
    "narrow input": ((2, 4, 2, 1), (4, 2, 1, 3), 2, turned, channels_last, (0, 1)),
    "narrow input, one group": ((2, 4, 2, 1), (4, 4, 1, 3), 1, turned, channels_last, (0, 1)),
}


@claim("conv-strides-of-one-gradients")
@pytest.mark.parametrize(("x", "weight", "groups", "lay_x", "lay_weight", "padding"), BACKWARD.values(), ids=BACKWARD)
def test_gradients(cell, x, weight, groups, lay_x, lay_weight, padding):
    inputs = lay_x(cell.tensor(whole(x))).requires_grad_()
    kernels = lay_weight(cell.tensor(whole(weight))).requires_grad_()
    out = cell.run(nn.functional.conv2d)(inputs, kernels, padding=padding, groups=groups)
    grad = whole(tuple(out.shape))
    out.backward(cell.tensor(grad))
    windows = Windows.of(weight[2:], padding=padding)
    of_x, of_weight, _ = convolve_backward(grad, whole(x), whole(weight), windows, groups)
    assert_within(inputs.grad, of_x, 0.0, what="gradient of x", because="whole numbers are exact")
    assert_within(kernels.grad, of_weight, 0.0, what="gradient of weight", because="whole numbers are exact")
