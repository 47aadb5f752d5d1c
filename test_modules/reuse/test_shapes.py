"""Which shapes go in and come out: channels second, sizes that match, arguments by position."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from models.reuse_cnn import ONCE, TWICE, ReuseCnn
from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same

# By position, and the same by keyword.
CONVOLUTIONS = {
    "all nine": (
        (4, 6, (3, 5), (2, 1), (1, 2), (1, 3), 2, False, "circular"),
        dict(in_channels=4, out_channels=6, kernel_size=(3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 3))
        | dict(groups=2, bias=False, padding_mode="circular"),
    ),
    "article": ((16, 32, 3, 1, 1), dict(in_channels=16, out_channels=32, kernel_size=3, stride=1, padding=1)),
    "five": ((2, 4, 5, 3, 1), dict(in_channels=2, out_channels=4, kernel_size=5, stride=3, padding=1)),
}
# What each layer of a block gives.
SHAPES = {
    "conv1": [(2, 16, 64, 64), (2, 16, 64, 64), (2, 16, 32, 32)],
    "conv2": [(2, 32, 32, 32), (2, 32, 32, 32), (2, 32, 16, 16)],
    "conv3": [(2, 64, 16, 16), (2, 64, 16, 16), (2, 64, 8, 8)],
    "conv4": [(2, 64, 8, 8)] * 3,
}
DEFAULTS = dict(dilation=1, groups=1, padding_mode="zeros")


def assert_refused(model, x, match):
    """That ``model`` refuses ``x`` by an error that says ``match``, and keeps its state."""
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match=match):
        model(x)
    for name, entry in model.state_dict().items():
        assert_same(entry, before[name], what=name)


@claim("reuse-channels-match")
def test_layer_that_gives_more_channels_than_it_takes(cell, rng):
    model = cell.place(ReuseCnn(("conv3",), width=2))
    assert (model.conv3[0].in_channels, model.conv3[0].out_channels) == (4, 8)
    assert_refused(model, cell.tensor(rng.normal(size=(2, 3, 64, 64))), "expected .*4 channels.*got 8 channels")


@claim("reuse-channels-match")
def test_layer_that_gives_as_many_as_it_takes(cell, rng):
    block = cell.place(ReuseCnn(ONCE, width=2).conv4)
    x = cell.tensor(rng.normal(size=(2, 8, 5, 3)))
    assert block(block(block(x))).shape == x.shape


@claim("reuse-nhwc-refused")
def test_channels_come_second(cell, rng):
    model = cell.place(ReuseCnn(TWICE, width=1))
    image = rng.normal(size=(2, 64, 64, 3))
    assert_refused(model, cell.tensor(image), "expected .*3 channels.*got 64 channels")
    assert model(cell.tensor(image.transpose(0, 3, 1, 2))).shape == (2, 6)


@claim("reuse-block-shapes")
def test_shapes_through_the_network(cell, rng):
    model = cell.place(ReuseCnn(ONCE))
    x = cell.tensor(rng.normal(size=(2, 3, 64, 64)))
    for name, shapes in SHAPES.items():
        for layer, shape in zip(model.get_submodule(name), shapes, strict=True):
            x = layer(x)
            assert tuple(x.shape) == shape, f"{name}: {layer}"


@claim("reuse-conv-positional")
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_arguments_by_position(case):
    positional, keywords = CONVOLUTIONS[case]
    with torch.device("meta"):
        by_position, by_keyword = nn.Conv2d(*positional), nn.Conv2d(**keywords)
    for name, value in (DEFAULTS | keywords).items():
        pair = name in ("kernel_size", "stride", "padding", "dilation") and isinstance(value, int)
        expected = (value, value) if pair else value
        for conv in (by_position, by_keyword):
            seen = getattr(conv, name)
            assert seen is not None if name == "bias" and value else seen == (expected or None), name
    assert repr(by_position) == repr(by_keyword)


@claim("reuse-conv-positional")
def test_stride_and_padding_do_what_their_places_say(cell, rng):
    conv = cell.place(nn.Conv2d(2, 4, 5, 3, 1))
    x = cell.tensor(rng.normal(size=(1, 2, 11, 16)))
    assert conv(x).shape == (1, 4, (11 + 2 - 5) // 3 + 1, (16 + 2 - 5) // 3 + 1)


@claim("reuse-pool-stride-default")
@pytest.mark.parametrize(
    ("arguments", "kernel", "stride"),
    [
        ((2,), (2, 2), (2, 2)),
        (((3, 2),), (3, 2), (3, 2)),
        ((2, 1), (2, 2), (1, 1)),
        ((3, (1, 2)), (3, 3), (1, 2)),
    ],
    ids=["kernel 2", "kernel 3x2", "kernel 2 stride 1", "kernel 3 stride 1x2"],
)
def test_pooling_windows(cell, rng, arguments, kernel, stride):
    x = cell.tensor(rng.normal(size=(2, 3, 7, 10)))
    windows = np.lib.stride_tricks.sliding_window_view(to_numpy(x), kernel, (2, 3))
    expected = windows[:, :, :: stride[0], :: stride[1]].max((-1, -2))
    assert_same(cell.run(nn.MaxPool2d(*arguments))(x), cell.tensor(expected), what="pooled")
    assert_same(
        cell.run(nn.MaxPool2d(kernel_size=arguments[0], stride=stride))(x),
        cell.tensor(expected),
        what="keyword",
    )


@claim("reuse-linear-fixes-size")
@pytest.mark.parametrize("size", [32, 63, 72, 128])
def test_other_sizes_are_refused(cell, rng, size):
    model = cell.place(ReuseCnn(TWICE, width=1).eval())
    in_features = 4 * (size // 8) ** 2
    assert_refused(model, cell.tensor(rng.normal(size=(2, 3, size, size))), f"shapes .*2x{in_features} and 256x6")


@claim("reuse-linear-fixes-size")
@pytest.mark.parametrize("size", [64, 65, 71])
def test_pooling_rounds_down(cell, rng, size):
    model = cell.place(ReuseCnn(TWICE, width=1))
    x = cell.tensor(rng.normal(size=(2, 3, size, size)))
    assert model.features(x).shape == (2, 4, 8, 8)
    assert model(x).shape == (2, 6)


@claim("reuse-view-flattens")
def test_one_row_a_sample(cell):
    values = np.arange(2 * 3 * 2 * 5).reshape(2, 3, 2, 5)
    x = cell.tensor(values)
    rows = x.view(x.size(0), -1)
    expected = [[values[n, c, h, w] for c in range(3) for h in range(2) for w in range(5)] for n in range(2)]
    assert_same(rows, cell.tensor(expected), what="rows")
    assert rows.data_ptr() == x.data_ptr()
    rows[1, -1] = -1
    assert x[1, 2, 1, 4] == -1


@claim("reuse-view-needs-layout")
@pytest.mark.parametrize(
    "relay",
    [
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.transpose(2, 3),
        lambda x: x[..., :4],
    ],
    ids=["channels_last", "transposed", "cropped"],
)
def test_layout_that_view_cannot_flatten(cell, rng, relay):
    x = relay(cell.tensor(rng.normal(size=(2, 3, 4, 6))))
    before = to_numpy(x)
    with pytest.raises(RuntimeError, match=r"(?s)view.*reshape"):
        x.view(x.size(0), -1)
    rows = x.reshape(x.size(0), -1)
    assert_same(rows, cell.tensor(before.reshape(2, -1)), what="reshaped")
    assert rows.data_ptr() != x.data_ptr()
    assert_same(x, cell.tensor(before), what="what was reshaped")


@claim("reuse-view-needs-layout")
def test_layout_that_view_can_flatten(cell, rng):
    x = cell.tensor(rng.normal(size=(2, 3, 1, 1))).contiguous(memory_format=torch.channels_last)
    assert_same(x.view(2, -1), cell.tensor(to_numpy(x).reshape(2, 3)), what="rows")
