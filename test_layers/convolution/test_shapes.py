"""Shapes of outputs and parameters, batches of no samples, inputs without a batch."""

import itertools

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


@claim("conv-output-shape")
@pytest.mark.parametrize("dims", LAYERS)
def test_output_shape(dims):
    along_an_axis = itertools.product((7, 8), (1, 2, 3), (1, 2, 3), (0, 1), (1, 2))
    seen, expected = {}, {}
    for axis, (size, kernel, stride, padding, dilation) in zip(
        itertools.cycle(range(dims)), along_an_axis, strict=False
    ):
        sizes, more = [5] * dims, {"stride": stride, "padding": padding, "dilation": dilation}
        kernels = [2] * dims
        sizes[axis], kernels[axis] = size, kernel
        arguments = {name: [default] * dims for name, default in (("stride", 1), ("padding", 0), ("dilation", 1))}
        for name, value in more.items():
            arguments[name][axis] = value
        layer = LAYERS[dims](1, 2, kernels, **{name: tuple(value) for name, value in arguments.items()}, device="meta")
        key = (axis, size, kernel, *more.values())
        seen[key] = tuple(layer(torch.empty(3, 1, *sizes, device="meta")).shape)
        lengths = [4] * dims
        lengths[axis] = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        expected[key] = (3, 2, *lengths)
    assert seen == expected


@claim("conv-parameter-shapes")
@pytest.mark.parametrize("dims", LAYERS)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_parameter_shapes(dims, groups):
    kernel = (2, 3, 4)[:dims]
    layer = LAYERS[dims](4, 8, kernel, groups=groups, device="meta")
    shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    assert shapes == {"weight": (8, 4 // groups, *kernel), "bias": (8,)}
    without = LAYERS[dims](4, 8, kernel, groups=groups, bias=False, device="meta")
    assert without.bias is None
    assert [name for name, _ in without.named_parameters()] == ["weight"]


@claim("conv-unbatched")
@pytest.mark.parametrize("dims", LAYERS)
def test_unbatched(cell, rng, dims):
    layer = cell.place(LAYERS[dims](2, 3, 2, stride=2, padding=1))
    x = cell.tensor(rng.normal(size=(2, 5, 4, 3)[: dims + 1]))
    factors = [to_numpy(tensor) for tensor in (x[None], layer.weight, layer.bias)]
    windows = Windows.of((2,) * dims, stride=2, padding=1)
    expected = convolve(*factors, windows)[0]
    magnitude = convolve(*map(abs, factors), windows)[0]
    bound = sum_bound(cell, layer.weight[0].numel() + 1, magnitude, expected)
    assert_within(cell.run(layer)(x), expected, bound, what="unbatched output", because="a sum of products")


@claim("conv-empty-batch")
@pytest.mark.parametrize(("dims", "groups"), [(1, 1), (2, 1), (2, 2), (3, 1)])
def test_empty_batch(cell, dims, groups):
    layer = cell.place(LAYERS[dims](2, 4, 2, stride=2, padding=1, groups=groups))
    sizes = (5, 4, 3)[:dims]
    x = cell.tensor(np.empty((0, 2, *sizes), np.float32), requires_grad=True)
    out = cell.run(layer)(x)
    assert tuple(out.shape) == (0, 4, *(size // 2 + 1 for size in sizes))
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape
    for name, parameter in layer.named_parameters():
        assert_same(parameter.grad, torch.zeros_like(parameter), what=f"gradient of {name}")
