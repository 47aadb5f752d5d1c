"""Shuffles of pixels and channels, and sliding blocks."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.covering import covering
from torchclaims.reference.windows import Windows, leading
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within

EXACT = "elements are moved, and small whole numbers add up exactly"


def shuffled(values, factor):
    """Channel c r r + i r + j at row i and column j of each block of channel c."""
    *lead, channels, height, width = values.shape
    result = np.zeros((*lead, channels // factor**2, height * factor, width * factor))
    for row in range(factor):
        for column in range(factor):
            part = values[..., row * factor + column :: factor**2, :, :]
            result[..., row::factor, column::factor] = part
    return result


SHUFFLES = {
    "two": (2, (2, 8, 3, 4)),
    "three": (3, (1, 18, 2, 3)),
    "one": (1, (2, 3, 2, 2)),
    "unbatched": (2, (4, 3, 2)),
    "three more dimensions": (2, (2, 1, 3, 4, 2, 3)),
    "one pixel": (4, (1, 16, 1, 1)),
    "wide": (2, (1, 4, 2, 17)),
}


@claim("pixel-shuffle")
@pytest.mark.parametrize(("factor", "shape"), SHUFFLES.values(), ids=SHUFFLES)
def test_pixel_shuffle(cell, rng, factor, shape):
    values = rng.integers(-99, 100, size=shape).astype(float)
    x = cell.tensor(values, requires_grad=True)
    out = cell.run(nn.PixelShuffle(factor))(x)
    assert_within(out, shuffled(values, factor), 0.0, what="shuffled", because=EXACT)
    out.backward(cell.tensor(shuffled(values + 1, factor)))
    assert_within(x.grad, values + 1, 0.0, what="gradient", because=EXACT)
    wide = cell.tensor(shuffled(values, factor), requires_grad=True)
    back = cell.run(nn.PixelUnshuffle(factor))(wide)
    assert_within(back, values, 0.0, what="shuffled back", because=EXACT)
    back.backward(cell.tensor(values + 1))
    assert_within(wide.grad, shuffled(values + 1, factor), 0.0, what="gradient of what is shuffled back", because=EXACT)


@claim("pixel-shuffle-no-samples")
@pytest.mark.parametrize("layer", [nn.PixelShuffle(2), nn.PixelUnshuffle(2)], ids=["shuffle", "unshuffle"])
def test_no_samples(cell, layer):
    x = cell.tensor(np.empty((0, 4, 2, 2), np.float32), requires_grad=True)
    out = cell.run(layer)(x)
    assert tuple(out.shape) == ((0, 1, 4, 4) if isinstance(layer, nn.PixelShuffle) else (0, 16, 1, 1))
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape


@claim("pixel-shuffle-channels-last-3d")
@pytest.mark.parametrize("direction", ["shuffle", "unshuffle"])
def test_channels_last_3d(cell, rng, direction):
    deep = rng.integers(-99, 100, size=(2, 3, 4, 2, 1)).astype(float)
    wide = shuffled(deep, 2)
    layer = nn.PixelShuffle(2) if direction == "shuffle" else nn.PixelUnshuffle(2)
    values, expected = (deep, wide) if direction == "shuffle" else (wide, deep)
    x = cell.tensor(values).contiguous(memory_format=torch.channels_last_3d)
    assert_within(cell.run(layer)(x), expected, 0.0, what=f"{direction}d", because=EXACT)


@claim("pixel-shuffle-refused")
def test_pixel_shuffle_refused():
    for layer, shape, message in (
        (nn.PixelShuffle(2), (1, 6, 4, 4), "divisible by the square of upscale_factor"),
        (nn.PixelShuffle(2), (4, 4), "at least 3 dimensions"),
        (nn.PixelShuffle(0), (1, 4, 4, 4), "expects a positive upscale_factor"),
        (nn.PixelUnshuffle(2), (1, 1, 3, 4), "height to be divisible by downscale_factor"),
        (nn.PixelUnshuffle(2), (1, 1, 4, 3), "width to be divisible by downscale_factor"),
        (nn.PixelUnshuffle(2), (4, 4), "at least 3 dimensions"),
        (nn.PixelUnshuffle(0), (1, 4, 4, 4), "expects a positive downscale_factor"),
    ):
        with pytest.raises(RuntimeError, match=message):
            layer(torch.ones(shape))


CHANNELS = {
    "two of four": (2, (2, 4, 3, 2)),
    "two of six": (2, (1, 6, 2, 2)),
    "three of six": (3, (1, 6, 2, 2)),
    "one": (1, (1, 5, 2, 2)),
    "each": (4, (1, 4, 1, 3)),
    "in 1-D": (2, (2, 6, 5)),
    "in 3-D": (3, (1, 6, 2, 1, 3)),
    "seventeen pairs": (2, (1, 34, 1, 3)),
}


@claim("channel-shuffle")
@pytest.mark.parametrize(("groups", "shape"), CHANNELS.values(), ids=CHANNELS)
def test_channel_shuffle(cell, rng, groups, shape):
    values = rng.integers(-99, 100, size=shape).astype(float)
    order = np.arange(shape[1]).reshape(groups, -1).T.ravel()
    out = cell.run(nn.ChannelShuffle(groups))(cell.tensor(values))
    assert_within(out, values[:, order], 0.0, what="shuffled", because=EXACT)


@claim("channel-shuffle-gradients")
@pytest.mark.parametrize(("groups", "shape"), CHANNELS.values(), ids=CHANNELS)
def test_channel_shuffle_gradient(cell, rng, groups, shape):
    values = rng.integers(-99, 100, size=shape).astype(float)
    x = cell.tensor(values, requires_grad=True)
    order = np.arange(shape[1]).reshape(groups, -1).T.ravel()
    cell.run(nn.ChannelShuffle(groups))(x).backward(cell.tensor(values[:, order] + 1))
    assert_within(x.grad, values + 1, 0.0, what="gradient", because=EXACT)


@claim("channel-shuffle-leading-dimensions")
@pytest.mark.parametrize("lead", [(2,), (2, 4), (4, 2, 1)], ids=["one", "two", "three"])
def test_leading_dimensions(cell, lead):
    values = np.arange(float(np.prod(lead) * 24)).reshape(*lead, 6, 2, 2)
    order = np.arange(6).reshape(2, -1).T.ravel()
    out = cell.run(nn.functional.channel_shuffle)(cell.tensor(values), 2)
    assert_within(out, values[..., order, :, :], 0.0, what="shuffled", because=EXACT)


@claim("channel-shuffle-refused")
@pytest.mark.parametrize("shape", [(1, 3, 2, 2), (2, 5, 4), (1, 7, 2, 2, 2)], ids=str)
def test_channel_shuffle_refused(shape):
    with pytest.raises(RuntimeError, match="must be divisible by groups"):
        nn.ChannelShuffle(2)(torch.ones(shape))


@claim("shuffle-repr")
def test_repr():
    assert repr(nn.PixelShuffle(3)) == "PixelShuffle(upscale_factor=3)"
    assert repr(nn.PixelUnshuffle(2)) == "PixelUnshuffle(downscale_factor=2)"
    assert repr(nn.ChannelShuffle(4)) == "ChannelShuffle(groups=4)"
    assert repr(nn.Fold((4, 5), 2)) == "Fold(output_size=(4, 5), kernel_size=2, dilation=1, padding=0, stride=1)"
    assert repr(nn.Unfold(2, 3, 4, 5)) == "Unfold(kernel_size=2, dilation=3, padding=4, stride=5)"
    assert repr(nn.Fold(9, 2, 3, 4, 5)) == "Fold(output_size=9, kernel_size=2, dilation=3, padding=4, stride=5)"


def unfolded(values, windows):
    """(N, C * kernel, blocks) of (N, C, H, W)."""
    sizes = values.shape[2:]
    padded = windows.padded(values, 0.0)
    met = np.stack([padded[tap] for _, tap in windows.taps(sizes)], 2)
    return met.reshape(len(values), values.shape[1] * met.shape[2], -1)


def folded(columns, sizes, windows):
    """(N, C, H, W) of (N, C * kernel, blocks): each element added at its place."""
    count = int(np.prod(windows.kernel))
    blocks = columns.reshape(len(columns), -1, count, *windows.counts(sizes))
    result = windows.padded(np.zeros((len(columns), blocks.shape[1], *sizes)), 0.0)
    for number, (_, tap) in enumerate(windows.taps(sizes)):
        result[tap] += blocks[:, :, number]
    return result[
        leading(tuple(slice(pad[0], pad[0] + size) for pad, size in zip(windows.padding, sizes, strict=True)))
    ]


# (N, C, H, W), and the arguments in the order kernel_size, dilation, padding, stride.
BLOCKS = {
    "plain": ((2, 3, 4, 5), ((2, 3), 1, 0, 1)),
    "one number": ((2, 2, 6, 7), (3, 2, 1, 2)),
    "each its own": ((1, 2, 7, 8), ((3, 2), (2, 3), (1, 2), (2, 3))),
    "apart": ((1, 2, 7, 9), ((2, 1), 1, 0, (3, 4))),
    "one pixel": ((2, 1, 1, 1), (3, 1, 1, 1)),
    "one by one": ((2, 3, 3, 2), (1, 1, 0, 1)),
    "one column of blocks": ((1, 2, 9, 3), ((2, 3), 1, 0, 1)),
    "wide": ((1, 1, 2, 33), ((1, 16), 1, (0, 1), 1)),
}
every_block = pytest.mark.parametrize(("shape", "arguments"), BLOCKS.values(), ids=BLOCKS)


def windows_of(arguments):
    kernel, dilation, padding, stride = arguments
    kernel = (kernel,) * 2 if isinstance(kernel, int) else kernel
    return Windows.of(kernel, dilation=dilation, padding=padding, stride=stride)


@claim("unfold-formula")
@every_block
def test_unfold(cell, rng, shape, arguments):
    values = rng.integers(-3, 4, size=shape).astype(float)
    x, windows = cell.tensor(values, requires_grad=True), windows_of(arguments)
    out = cell.run(nn.Unfold(*arguments))(x)
    expected = unfolded(values, windows)
    assert_within(out, expected, 0.0, what="blocks", because=EXACT)
    grad = rng.integers(-2, 3, size=expected.shape).astype(float)
    out.backward(cell.tensor(grad))
    assert_within(x.grad, folded(grad, shape[2:], windows), 0.0, what="gradient", because=EXACT)


@claim("fold-formula")
@covering(shape__arguments=BLOCKS, batched={"batched": True, "unbatched": False})
def test_fold(cell, rng, shape, arguments, batched):
    windows = windows_of(arguments)
    columns = rng.integers(-3, 4, size=unfolded(np.zeros(shape), windows).shape).astype(float)
    if not batched:
        columns = columns[:1]
    x = cell.tensor(columns if batched else columns[0], requires_grad=True)
    out = cell.run(nn.Fold(shape[2:], *arguments))(x)
    expected = folded(columns, shape[2:], windows)
    assert_within(out, expected if batched else expected[0], 0.0, what="sums of blocks", because=EXACT)
    grad = rng.integers(-3, 4, size=expected.shape).astype(float)
    out.backward(cell.tensor(grad if batched else grad[0]))
    wanted = unfolded(grad, windows)
    assert_within(x.grad, wanted if batched else wanted[0], 0.0, what="gradient", because=EXACT)


@claim("fold-formula")
def test_fold_takes_one_number_for_the_size(cell, rng):
    columns = rng.integers(-3, 4, size=(1, 8, 9)).astype(float)
    out = nn.Fold(4, 2)(cell.tensor(columns))
    assert_within(out, folded(columns, (4, 4), windows_of((2, 1, 0, 1))), 0.0, what="sums of blocks", because=EXACT)


@claim("fold-divisor")
@every_block
def test_divisor(cell, rng, shape, arguments):
    x = cell.tensor(rng.integers(-9, 10, size=shape).astype(float))
    unfold, fold = nn.Unfold(*arguments), nn.Fold(shape[2:], *arguments)
    again = cell.run(lambda x: fold(unfold(x)))
    divisor = again(torch.ones_like(x))
    assert_same(again(x), divisor * x, what="folded again")
    windows = windows_of(arguments)
    assert_within(
        divisor, folded(unfolded(np.ones(shape), windows), shape[2:], windows), 0.0, what="divisor", because=EXACT
    )


@claim("fold-refused")
def test_fold_refused():
    for layer, shape, message in (
        (nn.Fold((4, 5), 2), (1, 12, 11), "expected size of input's dimension 2 to match"),
        (nn.Fold((4, 5), 2), (1, 11, 12), "to be divisible by the product of kernel_size"),
        (nn.Fold((4, 5), 2), (1, 1, 12, 12), "Expected 2D or 3D|Expected"),
        (nn.Unfold(4), (1, 1, 3, 3), "but its components must be at least one"),
        (nn.Unfold(2, stride=0), (1, 1, 3, 3), "stride should be greater than zero"),
        (nn.Unfold(2, dilation=0), (1, 1, 3, 3), "dilation should be greater than zero"),
        (nn.Unfold(2, padding=-1), (1, 1, 5, 5), "padding should be non-negative"),
        (nn.Unfold(2), (1, 1, 3, 3, 3), "Expected 3D or 4D"),
    ):
        with pytest.raises(RuntimeError, match=message):
            layer(torch.ones(shape))


@claim("fold-sizes-of-length-one")
@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (lambda: nn.Fold((4,), 2), (1, 8, 9), (1, 2, 4, 4)),
        (lambda: nn.Fold(4, (2,)), (1, 8, 9), (1, 2, 4, 4)),
        (lambda: nn.Fold(4, 2, stride=(2,)), (1, 8, 4), (1, 2, 4, 4)),
        (lambda: nn.Unfold((2,)), (1, 2, 4, 4), (1, 8, 9)),
        (lambda: nn.Unfold(2, padding=(1,)), (1, 2, 4, 4), (1, 8, 25)),
    ],
    ids=["output_size of Fold", "kernel_size of Fold", "stride of Fold", "kernel_size of Unfold", "padding of Unfold"],
)
def test_tuples_of_length_one(layer, shape, expected):
    assert tuple(layer()(torch.ones(shape)).shape) == expected


def test_reference_on_a_small_image():
    image = np.arange(6.0).reshape(1, 1, 2, 3)
    columns = unfolded(image, windows_of((2, 1, 0, 1)))
    assert columns.tolist() == [[[0, 1], [1, 2], [3, 4], [4, 5]]]
    assert to_numpy(torch.tensor(folded(columns, (2, 3), windows_of((2, 1, 0, 1))).tolist())).tolist() == [
        [[[0, 2, 2], [3, 8, 5]]]
    ]
