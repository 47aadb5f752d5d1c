"""Which elements meet: orientation of the kernel, groups, kinds of padding."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.convolution import convolve
from torchclaims.reference.windows import Windows
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, sum_bound

LAYERS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def check(cell, layer, x, padded, windows, what):
    """Compares ``layer(x)`` with the sum of products over ``padded``, an array."""
    factors = [padded, to_numpy(layer.weight), to_numpy(layer.bias)]
    expected, magnitude = convolve(*factors, windows), convolve(*map(abs, factors), windows)
    bound = sum_bound(cell, layer.weight[0].numel() + 1, magnitude, expected)
    assert_within(cell.run(layer)(x), expected, bound, what=what, because="a sum of products in any order")


@claim("conv-cross-correlation")
@pytest.mark.parametrize("dims", LAYERS)
def test_an_impulse_draws_the_kernel_mirrored(cell, dims):
    # A sum with one non-zero term is exact in every dtype; a true convolution would draw the kernel as it is.
    layer = cell.place(LAYERS[dims](1, 1, 3, padding=1, bias=False))
    kernel = np.arange(1.0, 1 + 3**dims).reshape(1, 1, *[3] * dims)
    layer.weight.data.copy_(cell.tensor(kernel))
    impulse = np.zeros_like(kernel)
    impulse[(0, 0, *[1] * dims)] = 1
    out = cell.run(layer)(cell.tensor(impulse))
    assert_same(out, cell.tensor(np.flip(kernel, range(2, 2 + dims))), what="response to one 1")


@claim("conv-cross-correlation")
def test_two_by_two_by_hand(cell):
    layer = cell.place(nn.Conv2d(1, 1, 2, bias=False))
    layer.weight.data.copy_(cell.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    out = cell.run(layer)(cell.tensor(np.arange(9.0).reshape(1, 1, 3, 3)))
    # 0*1 + 1*2 + 3*3 + 4*4 = 27; flipped it would be 0*4 + 1*3 + 3*2 + 4*1 = 13
    assert_same(out, cell.tensor([[[[27.0, 37.0], [57.0, 67.0]]]]), what="output")


@claim("conv-groups-apart")
@pytest.mark.parametrize(("dims", "groups"), [(1, 2), (2, 2), (2, 3), (3, 2)])
def test_groups_are_convolutions_side_by_side(cell, rng, dims, groups):
    grouped = cell.place(LAYERS[dims](2 * groups, 3 * groups, 2, groups=groups))
    x = cell.tensor(rng.normal(size=(2, 2 * groups, *(4, 5, 3)[:dims])))
    windows = Windows.of((2,) * dims)
    out = cell.run(grouped)(x)
    for group in range(groups):
        ins, outs = slice(2 * group, 2 * group + 2), slice(3 * group, 3 * group + 3)
        alone = cell.place(LAYERS[dims](2, 3, 2))
        alone.weight.data.copy_(grouped.weight[outs])
        alone.bias.data.copy_(grouped.bias[outs])
        factors = [abs(to_numpy(tensor)) for tensor in (x[:, ins], alone.weight, alone.bias)]
        expected = to_numpy(cell.run(alone)(x[:, ins]))
        bound = 2 * sum_bound(cell, alone.weight[0].numel() + 1, convolve(*factors, windows), expected)
        assert_within(out[:, outs], expected, bound, what=f"group {group}", because="both sides are sums of products")


@claim("conv-groups-apart")
def test_what_is_not_a_number_stays_in_its_group(cell, rng):
    layer = cell.place(nn.Conv2d(4, 4, 2, groups=2))
    values = rng.normal(size=(1, 4, 3, 3))
    values[:, 1] = np.nan
    assert to_numpy(torch.isnan(cell.run(layer)(cell.tensor(values)))).all((0, 2, 3)).tolist() == [
        True,
        True,
        False,
        False,
    ]


SAME = {
    "odd kernel": ((3, 5), (1, 1)),
    "even kernel": ((2, 4), (1, 1)),
    "dilated": ((3, 2), (2, 3)),
    "in 1-D": ((4,), (1,)),
    "in 1-D, dilated": ((4,), (3,)),
    "in 3-D": ((2, 3, 1), (1, 1, 1)),
}


@claim("conv-padding-same")
@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("kernel", "dilation"), SAME.values(), ids=SAME)
def test_same_keeps_the_size(cell, rng, kernel, dilation):
    layer = cell.place(LAYERS[len(kernel)](2, 2, kernel, padding="same", dilation=dilation))
    x = cell.tensor(rng.normal(size=(2, 2, *(6, 7, 5)[: len(kernel)])))
    totals = [apart * (size - 1) for size, apart in zip(kernel, dilation, strict=True)]
    pads = tuple((total // 2, total - total // 2) for total in totals)
    windows = Windows(kernel, (1,) * len(kernel), pads, dilation)
    assert windows.counts(tuple(x.shape[2:])) == tuple(x.shape[2:])
    check(cell, layer, x, to_numpy(x), windows, "output with padding='same'")


@claim("conv-padding-same")
@pytest.mark.parametrize("dims", LAYERS)
def test_valid_pads_nothing(cell, rng, dims):
    layer = cell.place(LAYERS[dims](1, 2, 3, padding="valid"))
    x = cell.tensor(rng.normal(size=(2, 1, *(4, 5, 3)[:dims])))
    check(cell, layer, x, to_numpy(x), Windows.of((3,) * dims), "output with padding='valid'")


IN_NUMPY = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@claim("conv-padding-modes")
@pytest.mark.parametrize("mode", IN_NUMPY)
@pytest.mark.parametrize("dims", LAYERS)
def test_padding_modes(cell, rng, mode, dims):
    kernel, padding, stride = (3, 2, 2)[:dims], (1, 2, 1)[:dims], (1, 2, 1)[:dims]
    layer = cell.place(LAYERS[dims](2, 2, kernel, padding=padding, stride=stride, padding_mode=mode))
    x = cell.tensor(rng.normal(size=(2, 2, *(4, 5, 3)[:dims])))
    padded = np.pad(to_numpy(x), [(0, 0), (0, 0), *((pad, pad) for pad in padding)], mode=IN_NUMPY[mode])
    check(cell, layer, x, padded, Windows.of(kernel, stride=stride), f"output with padding_mode={mode!r}")
