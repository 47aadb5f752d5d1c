"""Arguments of convolution layers: defaults, order, how they print, and what they are refused for; lazy layers."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.convolution import convolve
from torchclaims.reference.windows import Windows
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, sum_bound

LAYERS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
LAZY = {1: nn.LazyConv1d, 2: nn.LazyConv2d, 3: nn.LazyConv3d}
NAMES = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")


def arguments_of(layer):
    return {name: getattr(layer, name) for name in NAMES} | {"bias": layer.bias is not None}


@claim("conv-defaults")
@pytest.mark.parametrize("dims", LAYERS)
def test_defaults(dims):
    layer = LAYERS[dims](2, 4, 3, device="meta")
    each = {"kernel_size": (3,) * dims, "stride": (1,) * dims, "padding": (0,) * dims, "dilation": (1,) * dims}
    expected = {"in_channels": 2, "out_channels": 4, **each, "groups": 1, "padding_mode": "zeros", "bias": True}
    assert arguments_of(layer) == expected
    lazy = LAZY[dims](4, 3, device="meta")
    assert arguments_of(lazy) == expected | {"in_channels": 0}


@claim("conv-defaults")
@pytest.mark.parametrize("dims", LAYERS)
def test_order_of_arguments(dims):
    layer = LAYERS[dims](2, 4, 3, 5, 6, 7, 2, False, "circular", "meta", torch.float64)
    each = {"kernel_size": (3,) * dims, "stride": (5,) * dims, "padding": (6,) * dims, "dilation": (7,) * dims}
    expected = {"in_channels": 2, "out_channels": 4, **each, "groups": 2, "padding_mode": "circular", "bias": False}
    assert arguments_of(layer) == expected
    assert (layer.weight.device.type, layer.weight.dtype) == ("meta", torch.float64)
    lazy = LAZY[dims](4, 3, 5, 6, 7, 2, False, "circular", "meta", torch.float64)
    assert arguments_of(lazy) == expected | {"in_channels": 0}
    assert (lazy.weight.device.type, lazy.weight.dtype) == ("meta", torch.float64)


PRINTED = {
    "defaults": (nn.Conv1d, (1, 2, 3), {}, "Conv1d(1, 2, kernel_size=(3,), stride=(1,))"),
    "all": (
        nn.Conv2d,
        (4, 6, (3, 2)),
        {"stride": 2, "padding": (0, 1), "dilation": (1, 2), "groups": 2, "bias": False, "padding_mode": "reflect"},
        "Conv2d(4, 6, kernel_size=(3, 2), stride=(2, 2), padding=(0, 1), dilation=(1, 2), groups=2, bias=False, "
        "padding_mode=reflect)",
    ),
    "in 3-D": (
        nn.Conv3d,
        (2, 2, 1),
        {"padding": 1},
        "Conv3d(2, 2, kernel_size=(1, 1, 1), stride=(1, 1, 1), padding=(1, 1, 1))",
    ),
    "lazy": (nn.LazyConv1d, (2, 3), {"groups": 2}, "LazyConv1d(0, 2, kernel_size=(3,), stride=(1,), groups=2)"),
}


@claim("conv-repr")
@pytest.mark.parametrize(("layer", "arguments", "more", "text"), PRINTED.values(), ids=PRINTED)
def test_repr(layer, arguments, more, text):
    assert repr(layer(*arguments, **more, device="meta")) == text


@claim("conv-repr")
def test_repr_of_a_named_padding():
    assert repr(nn.Conv2d(1, 1, 3, padding="same", device="meta")).endswith("stride=(1, 1), padding=same)")


@claim("conv-lazy")
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("dims", LAZY)
def test_lazy(cell, rng, dims, bias):
    layer = cell.place(LAZY[dims](4, 2, stride=2, groups=2, bias=bias))
    names = ["weight", "bias"] if bias else ["weight"]
    assert [name for name, _ in layer.named_parameters()] == names
    assert all(isinstance(parameter, nn.UninitializedParameter) for parameter in layer.parameters())
    x = cell.tensor(rng.normal(size=(3, 6, *(5, 4, 3)[:dims])))
    out = layer(x)
    assert type(layer) is LAYERS[dims]
    assert layer.in_channels == 6
    shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    assert shapes == {"weight": (4, 3, *[2] * dims)} | ({"bias": (4,)} if bias else {})
    assert [type(parameter) for parameter in layer.parameters()] == [nn.Parameter] * len(names)
    edge = (3 * 2**dims) ** -0.5 * (1 + 1e-6)
    assert all(0 < float(parameter.detach().abs().max()) <= edge for parameter in layer.parameters())
    factors = [to_numpy(x), to_numpy(layer.weight), to_numpy(layer.bias) if bias else None]
    windows = Windows.of((2,) * dims, stride=2)
    expected = convolve(*factors, windows, 2)
    magnitude = convolve(*(None if factor is None else abs(factor) for factor in factors), windows, 2)
    bound = sum_bound(cell, 3 * 2**dims + 1, magnitude, expected)
    assert_within(out, expected, bound, what="first output", because="a sum of products")


@claim("conv-lazy")
@pytest.mark.parametrize("dims", LAZY)
def test_lazy_refuses_other_dimensions(dims):
    layer = LAZY[dims](4, 2)
    for size in (dims, dims + 3):
        with pytest.raises(RuntimeError, match=rf"Expected {dims + 1}D \(unbatched\) or {dims + 2}D \(batched\)"):
            layer(torch.ones([3] * size))
    assert type(layer) is LAZY[dims]
    assert layer(torch.ones([3] * (dims + 1))).shape == (4, *[2] * dims)


NUMPYS = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
SAME = {
    "even kernel": ((2, 4), (1, 1)),
    "dilated": ((3, 2), (1, 3)),
    "in 1-D": ((4,), (1,)),
    "in 3-D": ((2, 3, 2), (1, 2, 3)),
}


@claim("conv-padding-mode-same")
@pytest.mark.parametrize("mode", NUMPYS)
@pytest.mark.parametrize(("kernel", "dilation"), SAME.values(), ids=SAME)
def test_same(cell, rng, mode, kernel, dilation):
    layer = LAYERS[len(kernel)](2, 2, kernel, padding="same", dilation=dilation, padding_mode=mode)
    x = cell.tensor(rng.normal(size=(2, 2, *(6, 7, 5)[: len(kernel)])))
    totals = [apart * (size - 1) for size, apart in zip(kernel, dilation, strict=True)]
    pads = [(0, 0), (0, 0), *((total // 2, total - total // 2) for total in totals)]
    check(cell, cell.place(layer), x, np.pad(to_numpy(x), pads, mode=NUMPYS[mode]), dilation)
    assert layer(x).shape == x.shape


@claim("conv-padding-mode-same")
@pytest.mark.parametrize("mode", NUMPYS)
@pytest.mark.parametrize("dims", LAYERS)
def test_valid(cell, rng, mode, dims):
    layer = LAYERS[dims](2, 2, 3, padding="valid", stride=2, padding_mode=mode)
    x = cell.tensor(rng.normal(size=(2, 2, *(6, 7, 5)[:dims])))
    check(cell, cell.place(layer), x, to_numpy(x), 1, stride=2)


def check(cell, layer, x, padded, dilation, stride=1):
    factors = [padded, to_numpy(layer.weight), to_numpy(layer.bias)]
    windows = Windows.of(layer.kernel_size, stride=stride, dilation=dilation)
    expected, magnitude = convolve(*factors, windows), convolve(*map(abs, factors), windows)
    bound = sum_bound(cell, layer.weight[0].numel() + 1, magnitude, expected)
    assert_within(cell.run(layer)(x), expected, bound, what="output", because="a sum of products in any order")


REFUSED = {
    "padding": ({"padding": -1}, "negative padding is not supported"),
    "stride": ({"stride": 0}, "non-positive stride is not supported"),
    "dilation": ({"dilation": 0}, "dilation should be greater than zero"),
}


@claim("conv-geometry-refused")
@pytest.mark.parametrize("dims", LAYERS)
@pytest.mark.parametrize(("more", "message"), REFUSED.values(), ids=REFUSED)
def test_geometry(cell, dims, more, message):
    layer = cell.place(LAYERS[dims](1, 1, 3, **more))
    with pytest.raises(RuntimeError, match=message):
        layer(cell.tensor(np.ones((1, 1, *[5] * dims))))
