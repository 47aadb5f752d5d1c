"""Sizes, parameters, arguments and refusals of transposed convolutions, and what relates them to convolutions."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.chance import assert_follows, uniform
from torchclaims.reference.transposed import Placement, transposed_convolve
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, kernel_sum_bound

LAYERS = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
LAZY = {1: nn.LazyConvTranspose1d, 2: nn.LazyConvTranspose2d, 3: nn.LazyConvTranspose3d}


@claim("convt-output-shape")
@pytest.mark.parametrize("dims", LAYERS)
def test_output_shape(dims):
    seen, expected = {}, {}
    along_an_axis = itertools.product((3, 4), (1, 2, 3), (1, 2, 3), (0, 1), (1, 2), (0, 1))
    for axis, numbers in zip(itertools.cycle(range(dims)), along_an_axis, strict=False):
        size, kernel, stride, padding, dilation, more = numbers
        if more >= max(stride, dilation):
            continue
        sizes, kernels = [3] * dims, [2] * dims
        sizes[axis], kernels[axis] = size, kernel
        named = {"stride": (1, stride), "padding": (0, padding), "output_padding": (0, more), "dilation": (1, dilation)}
        arguments = {name: [default] * dims for name, (default, _) in named.items()}
        for name, (_, value) in named.items():
            arguments[name][axis] = value
        length = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + more + 1
        if length < 1:
            continue
        layer = LAYERS[dims](1, 2, kernels, **{name: tuple(value) for name, value in arguments.items()}, device="meta")
        seen[axis, numbers] = tuple(layer(torch.empty(3, 1, *sizes, device="meta")).shape)
        lengths = [4] * dims
        lengths[axis] = length
        expected[axis, numbers] = (3, 2, *lengths)
    assert seen == expected


@claim("convt-inverts-shapes")
@pytest.mark.parametrize("dims", LAYERS)
@pytest.mark.parametrize("output_size", [False, True], ids=["output_padding", "output_size"])
def test_shapes_are_inverted(dims, output_size):
    for stride, padding, dilation, kernel in itertools.product((1, 2, 3), (0, 1), (1, 2), (2, 3)):
        more = {"stride": stride, "padding": padding, "dilation": dilation}
        given_back = set()
        down = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims](2, 3, kernel, **more, device="meta")
        for size in range(7, 10):
            x = torch.empty(2, 2, *[size] * dims, device="meta")
            small = down(x)
            rest = (size + 2 * padding - dilation * (kernel - 1) - 1) % stride
            if output_size:
                given_back.add(LAYERS[dims](3, 2, kernel, **more, device="meta")(small, x.size()).shape == x.shape)
            else:
                up = LAYERS[dims](3, 2, kernel, **more, output_padding=rest, device="meta")
                given_back.add(up(small).shape == x.shape)
        assert given_back == {True}, more


RELATED = {
    "in 1-D": ((2, 4, 9), (4, 2, 3), {"stride": 2, "padding": 1, "groups": 2}),
    "in 2-D": ((2, 3, 5, 6), (2, 3, 2, 3), {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)}),
    "in 3-D": ((1, 2, 3, 4, 5), (2, 2, 2, 1, 3), {"stride": (1, 2, 2), "padding": (1, 0, 1)}),
}


@claim("convt-gradient-of-convolution")
@pytest.mark.parametrize(("x", "weight", "more"), RELATED.values(), ids=RELATED)
def test_gradient_of_convolution(cell, rng, x, weight, more):
    # Whole numbers: both sums are exact, in any order.
    dims = len(x) - 2
    inputs = cell.tensor(rng.integers(-3, 4, size=x).astype(float), requires_grad=True)
    kernels = cell.tensor(rng.integers(-3, 4, size=weight).astype(float))
    out = cell.run(getattr(nn.functional, f"conv{dims}d"))(inputs, kernels, **more)
    grad = cell.tensor(rng.integers(-3, 4, size=tuple(out.shape)).astype(float))
    out.backward(grad)
    groups = more.get("groups", 1)
    layer = LAYERS[dims](weight[0], weight[1] * groups, weight[2:], bias=False, **more)
    layer.weight.data = kernels
    assert_same(
        cell.run(cell.place(layer))(grad, output_size=list(x[2:])),
        inputs.grad,
        what="gradient of the convolution's input",
    )


@claim("convt-inserts-zeros")
@pytest.mark.parametrize("stride", [(2, 3), (3, 1)], ids=str)
def test_stride_inserts_zeros(cell, rng, stride):
    x = cell.tensor(rng.integers(-3, 4, size=(2, 2, 3, 4)).astype(float))
    weight = cell.tensor(rng.integers(-3, 4, size=(2, 3, 2, 3)).astype(float))
    apart = x.new_zeros(2, 2, *((size - 1) * step + 1 for size, step in zip(x.shape[2:], stride, strict=True)))
    apart[:, :, :: stride[0], :: stride[1]] = x
    strided = cell.run(nn.functional.conv_transpose2d)(x, weight, stride=stride)
    assert_same(strided, cell.run(nn.functional.conv_transpose2d)(apart, weight), what="output with a stride")


@claim("convt-output-size")
@pytest.mark.parametrize("dims", LAYERS)
@pytest.mark.parametrize("lead", [(), (2, 3), (3,)], ids=["spatial", "batched", "unbatched"])
def test_output_size(cell, rng, dims, lead):
    sizes, wanted = (3, 2, 4)[:dims], (8, 4, 14)[:dims]
    stride, kernel, padding, dilation = (3, 2, 4)[:dims], (2, 3, 2)[:dims], (1, 1, 2)[:dims], (2, 1, 3)[:dims]
    layer = cell.place(LAYERS[dims](2, 3, kernel, stride=stride, padding=padding, dilation=dilation))
    x = cell.tensor(rng.normal(size=(*(() if lead == (3,) else (2,)), 2, *sizes)))
    smallest = Placement.of(kernel, stride=stride, padding=padding, dilation=dilation).sizes(sizes)
    extra = tuple(size - least for size, least in zip(wanted, smallest, strict=True))
    at = Placement.of(kernel, stride=stride, padding=padding, output_padding=extra, dilation=dilation)
    factors = [to_numpy(tensor) for tensor in (x[None] if lead == (3,) else x, layer.weight, layer.bias)]
    expected, magnitude = transposed_convolve(*factors, at), transposed_convolve(*map(abs, factors), at)
    bound = kernel_sum_bound(cell, layer.weight[:, 0].numel() + 1, magnitude, expected)
    if lead == (3,):
        expected, bound = expected[0], bound[0]
    out = cell.run(layer)(x, output_size=[*lead, *wanted])
    assert_within(out, expected, bound, what="output", because="a sum of products in any order")


@claim("convt-output-size")
@pytest.mark.parametrize("dims", LAYERS)
def test_all_possible_sizes(dims):
    layer = LAYERS[dims](1, 1, 2, stride=3, padding=1, dilation=2, device="meta")
    x = torch.empty(1, 1, *[4] * dims, device="meta")
    for axis in range(dims):
        for size in range(7, 15):
            wanted = [10] * dims
            wanted[axis] = size
            if 10 <= size <= 12:
                assert list(layer(x, wanted).shape) == [1, 1, *wanted]
            else:
                least, most = str([10] * dims), str([12] * dims)
                with pytest.raises(ValueError, match="requested an output size of") as refused:
                    layer(x, wanted)
                assert f"sizes range from {least} to {most}" in str(refused.value)
    for sizes in ([10] * (dims - 1), [10] * (dims + 1), [1, 1, 1, *[10] * dims]):
        with pytest.raises(
            ValueError, match=rf"output_size must have {dims} .*elements \(got {len(sizes)}\)|requested"
        ):
            layer(x, sizes)


@claim("convt-parameter-shapes")
@pytest.mark.parametrize("dims", LAYERS)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_parameter_shapes(dims, groups):
    kernel = (2, 3, 4)[:dims]
    layer = LAYERS[dims](4, 8, kernel, groups=groups, device="meta")
    shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    assert shapes == {"weight": (4, 8 // groups, *kernel), "bias": (8,)}
    without = LAYERS[dims](4, 8, kernel, groups=groups, bias=False, device="meta")
    assert without.bias is None
    assert [name for name, _ in without.named_parameters()] == ["weight"]


@claim("convt-init")
@pytest.mark.parametrize("parameter", ["weight", "bias"])
@pytest.mark.parametrize(
    ("dims", "channels", "kernel", "groups"),
    [(1, (64, 80), (4,), 1), (2, (32, 96), (3, 2), 2), (3, (16, 48), (3, 1, 2), 1)],
    ids=["1d", "2d, grouped", "3d"],
)
def test_initial_values(cell, parameter, dims, channels, kernel, groups):
    limit = (groups / (channels[1] * np.prod(kernel))) ** 0.5
    count = 1 if parameter == "weight" else 20

    def draw():
        layers = [LAYERS[dims](*channels, kernel, groups=groups, device=cell.device.name) for _ in range(count)]
        return torch.cat([getattr(layer, parameter).detach().flatten() for layer in layers])

    assert float(draw().abs().max()) <= limit * (1 + 1e-6)
    assert_follows(draw, uniform(-limit, limit), what=parameter)


NAMES = (
    "in_channels", "out_channels", "kernel_size", "stride", "padding", "output_padding", "groups", "dilation",
    "padding_mode", "transposed",
)  # fmt: skip


def arguments_of(layer):
    return {name: getattr(layer, name) for name in NAMES} | {"bias": layer.bias is not None}


@claim("convt-defaults")
@pytest.mark.parametrize("dims", LAYERS)
def test_defaults(dims):
    each = {"kernel_size": 3, "stride": 1, "padding": 0, "output_padding": 0, "dilation": 1}
    expected = {"in_channels": 2, "out_channels": 4, "groups": 1, "bias": True, "padding_mode": "zeros"}
    expected |= {name: (value,) * dims for name, value in each.items()} | {"transposed": True}
    assert arguments_of(LAYERS[dims](2, 4, 3, device="meta")) == expected
    assert arguments_of(LAZY[dims](4, 3, device="meta")) == expected | {"in_channels": 0}


@claim("convt-defaults")
@pytest.mark.parametrize("dims", LAYERS)
def test_order_of_arguments(dims):
    each = {"kernel_size": 3, "stride": 5, "padding": 6, "output_padding": 4, "dilation": 7}
    expected = {"in_channels": 14, "out_channels": 28, "groups": 2, "bias": False, "padding_mode": "zeros"}
    expected |= {name: (value,) * dims for name, value in each.items()} | {"transposed": True}
    layer = LAYERS[dims](14, 28, 3, 5, 6, 4, 2, False, 7, "zeros", "meta", torch.float64)
    lazy = LAZY[dims](28, 3, 5, 6, 4, 2, False, 7, "zeros", "meta", torch.float64)
    assert arguments_of(layer) == expected
    assert arguments_of(lazy) == expected | {"in_channels": 0}
    for made in (layer, lazy):
        assert (made.weight.device.type, made.weight.dtype) == ("meta", torch.float64)


@claim("convt-repr")
@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (
            lambda: nn.ConvTranspose2d(2, 4, 3, stride=2, output_padding=(1, 0), groups=2, device="meta"),
            "ConvTranspose2d(2, 4, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 0), groups=2)",
        ),
        (
            lambda: nn.ConvTranspose1d(1, 1, 2, bias=False, dilation=2, device="meta"),
            "ConvTranspose1d(1, 1, kernel_size=(2,), stride=(1,), dilation=(2,), bias=False)",
        ),
    ],
    ids=["output padding", "none"],
)
def test_repr(layer, text):
    assert repr(layer()) == text


@claim("convt-refused")
@pytest.mark.parametrize("dims", LAYERS)
def test_input_refused(cell, dims):
    layer = cell.place(LAYERS[dims](3, 2, 2))
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    for shape, message in (
        ((1, 64, *[4] * dims), "to have 3 channels, but got 64"),
        ((3,), rf"Expected {dims + 1}D \(unbatched\) or {dims + 2}D \(batched\)"),
        ((1, 1, 3, *[4] * dims), rf"Expected {dims + 1}D \(unbatched\) or {dims + 2}D \(batched\)"),
    ):
        with pytest.raises(RuntimeError, match=message):
            layer(torch.ones(shape, dtype=cell.dtype, device=cell.device.name))
    assert_same(dict(layer.state_dict()), before, what="parameters")


@claim("convt-refused")
@pytest.mark.parametrize("dims", LAYERS)
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular", "mirror"])
def test_padding_mode_refused(dims, mode):
    name = LAYERS[dims].__name__
    with pytest.raises(ValueError, match=f'Only "zeros" padding mode is supported for {name}'):
        LAYERS[dims](1, 1, 2, padding_mode=mode, device="meta")
    layer = LAYERS[dims](1, 1, 2, device="meta")
    layer.padding_mode = mode
    with pytest.raises(ValueError, match=f"Only `zeros` padding mode is supported for {name}"):
        layer(torch.empty(1, 1, *[3] * dims, device="meta"))


@claim("convt-refused")
@pytest.mark.parametrize("dims", LAYERS)
def test_groups_refused(dims):
    for arguments, groups, message in (
        ((3, 4, 2), 2, "in_channels must be divisible by groups"),
        ((4, 3, 2), 2, "out_channels must be divisible by groups"),
        ((2, 2, 2), 0, "groups must be a positive integer"),
    ):
        with pytest.raises(ValueError, match=message):
            LAYERS[dims](*arguments, groups=groups, device="meta")


@claim("convt-refused")
@pytest.mark.parametrize("dims", LAYERS)
@pytest.mark.parametrize(("more", "extra"), [({}, 1), ({"stride": 2}, 2), ({"dilation": 3}, 3)], ids=str)
def test_output_padding_refused(cell, dims, more, extra):
    layer = cell.place(LAYERS[dims](1, 1, 3, **more, output_padding=extra))
    with pytest.raises(RuntimeError, match="output padding must be smaller than either stride or dilation"):
        layer(cell.tensor(np.ones((1, 1, *[4] * dims))))


@claim("convt-lazy")
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("dims", LAZY)
def test_lazy(cell, rng, dims, bias):
    layer = cell.place(LAZY[dims](4, 2, stride=2, groups=2, bias=bias))
    assert all(isinstance(parameter, nn.UninitializedParameter) for parameter in layer.parameters())
    for size in (dims, dims + 3):
        with pytest.raises(RuntimeError, match=rf"Expected {dims + 1}D \(unbatched\) or {dims + 2}D \(batched\)"):
            layer(torch.ones([3] * size))
    x = cell.tensor(rng.normal(size=(3, 6, *(3, 2, 2)[:dims])))
    out = layer(x)
    assert type(layer) is LAYERS[dims]
    assert layer.in_channels == 6
    shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    assert shapes == {"weight": (6, 2, *[2] * dims)} | ({"bias": (4,)} if bias else {})
    assert all(0 < float(parameter.detach().abs().max()) <= (2 * 2**dims) ** -0.5 for parameter in layer.parameters())
    factors = [to_numpy(x), to_numpy(layer.weight), to_numpy(layer.bias) if bias else None]
    at = Placement.of((2,) * dims, stride=2)
    expected = transposed_convolve(*factors, at, 2)
    magnitude = transposed_convolve(*(None if factor is None else abs(factor) for factor in factors), at, 2)
    bound = kernel_sum_bound(cell, 3 * 2**dims + 1, magnitude, expected)
    assert_within(out, expected, bound, what="first output", because="a sum of products")
