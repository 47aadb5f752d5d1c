"""What a convolution computes, forward and backward, beside the sum of products that defines it."""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.convolution import convolve, convolve_backward
from torchclaims.reference.windows import Windows
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, kernel_sum_bound

LAYERS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class Case(NamedTuple):
    """A convolution of x (N, C, *spatial) to ``out`` channels; what is not named is the layer's default."""

    x: tuple[int, ...]
    out: int
    kernel: tuple[int, ...]
    more: dict[str, Any]

    def layer(self, cell) -> nn.Module:
        layer = LAYERS[len(self.kernel)](self.x[1], self.out, self.kernel, **self.more)
        return cell.place(layer)

    @property
    def windows(self) -> Windows:
        return Windows.of(self.kernel, **{k: v for k, v in self.more.items() if k not in ("groups", "bias")})

    @property
    def groups(self) -> int:
        return self.more.get("groups", 1)


CASES = {
    "plain": Case((2, 2, 5, 7), 3, (3, 2), {}),
    "no bias": Case((2, 2, 5, 7), 3, (3, 2), {"bias": False}),
    "stride": Case((2, 2, 9, 8), 2, (2, 3), {"stride": (2, 3)}),
    "stride beyond the kernel": Case((1, 2, 9, 11), 2, (2, 1), {"stride": (3, 4)}),
    "padding": Case((2, 1, 4, 5), 2, (3, 5), {"padding": (1, 2)}),
    "padding in one axis": Case((1, 2, 4, 5), 2, (3, 3), {"padding": (0, 1)}),
    "padding beyond the kernel": Case((1, 2, 3, 2), 2, (2, 2), {"padding": (2, 3)}),
    "dilation": Case((1, 2, 9, 8), 2, (3, 2), {"dilation": (2, 3)}),
    "all at once": Case(
        (2, 4, 9, 15), 6, (3, 2), {"stride": (2, 3), "padding": (1, 2), "dilation": (3, 2), "groups": 2}
    ),
    "square arguments": Case((2, 2, 7, 8), 2, (3, 3), {"stride": 2, "padding": 1, "dilation": 2}),
    "depthwise": Case((2, 3, 6, 5), 3, (3, 3), {"groups": 3, "padding": 1}),
    "depthwise, two each": Case((1, 3, 7, 8), 6, (3, 3), {"groups": 3, "stride": (1, 2)}),
    "depthwise, dilated": Case((1, 3, 7, 9), 3, (3, 3), {"groups": 3, "dilation": (1, 2), "padding": (1, 2)}),
    **{
        f"{size} channels, {size} wide": Case((1, size, 2, size), size, (1, 3), {"padding": (0, 1)})
        for size in (7, 8, 9, 15, 17, 31, 33)
    },
    "many samples": Case((17, 1, 3, 4), 2, (2, 3), {}),
    "depthwise, strided and padded": Case((2, 3, 9, 8), 3, (3, 3), {"groups": 3, "stride": 2, "padding": 1}),
    "one by one": Case((2, 5, 3, 4), 4, (1, 1), {}),
    "one by one, strided": Case((2, 3, 7, 9), 4, (1, 1), {"stride": (2, 3)}),
    "one by one, one sample": Case((1, 5, 3, 4), 4, (1, 1), {}),
    "kernel as large as the input": Case((3, 2, 4, 3), 5, (4, 3), {}),
    "one column of output": Case((2, 2, 9, 3), 2, (3, 3), {"padding": (1, 0)}),
    "one row of output": Case((2, 2, 3, 9), 2, (3, 3), {"padding": (0, 1)}),
    "one pixel": Case((2, 3, 1, 1), 2, (3, 3), {"padding": 1}),
    "one channel to many": Case((1, 1, 7, 8), 17, (2, 2), {}),
    "many channels to one": Case((2, 9, 4, 5), 1, (3, 3), {"padding": 1}),
    "many channels": Case((1, 33, 3, 4), 16, (1, 2), {"padding": (0, 1)}),
    "sixteen wide": Case((1, 16, 4, 16), 15, (1, 3), {}),
    "ends before the last column": Case((1, 2, 8, 8), 2, (3, 3), {"stride": 3}),
    "in 1-D": Case((2, 3, 17), 4, (3,), {"stride": 2, "padding": 1}),
    "in 1-D, one wide": Case((2, 5, 9), 4, (1,), {}),
    "in 1-D, dilated groups": Case((2, 4, 31), 6, (4,), {"dilation": 3, "groups": 2, "padding": 2}),
    "in 1-D, one long kernel": Case((1, 2, 33), 3, (9,), {"padding": 4}),
    "in 3-D": Case((2, 2, 3, 4, 5), 3, (2, 3, 2), {"padding": (1, 0, 1)}),
    "in 3-D, depthwise": Case((2, 3, 4, 3, 5), 3, (2, 3, 3), {"groups": 3, "padding": (0, 1, 1)}),
    "in 3-D, all at once": Case(
        (1, 4, 5, 6, 7),
        2,
        (2, 1, 3),
        {"stride": (2, 1, 3), "padding": (1, 0, 2), "dilation": (2, 1, 1), "groups": 2},
    ),
}
BECAUSE = "a sum of products in any order, rounded once"


@claim("conv-formula")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_forward(cell, rng, case):
    layer = case.layer(cell)
    x = cell.tensor(rng.normal(size=case.x))
    out = cell.run(layer)(x)
    assert out.dtype == cell.dtype
    factors = [to_numpy(x), to_numpy(layer.weight), None if layer.bias is None else to_numpy(layer.bias)]
    expected = convolve(*factors, case.windows, case.groups)
    magnitude = convolve(*(None if factor is None else abs(factor) for factor in factors), case.windows, case.groups)
    bound = kernel_sum_bound(cell, layer.weight[0].numel() + 1, magnitude, expected)
    assert_within(out, expected, bound, what="output", because=BECAUSE)


@claim("conv-gradients")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_gradients(cell, rng, case):
    layer = case.layer(cell)
    x = cell.tensor(rng.normal(size=case.x), requires_grad=True)
    out = cell.run(layer)(x)
    grad = cell.tensor(rng.normal(size=tuple(out.shape)))
    out.backward(grad)
    factors = [to_numpy(grad), to_numpy(x), to_numpy(layer.weight)]
    expected = convolve_backward(*factors, case.windows, case.groups)
    magnitudes = convolve_backward(*map(abs, factors), case.windows, case.groups)
    of_a_weight = out.numel() // case.out
    terms = {"x": layer.weight[:, 0].numel() // case.groups, "weight": of_a_weight, "bias": of_a_weight}
    added = {"x": int(np.prod(case.kernel)), "weight": len(x), "bias": len(x)}
    seen = {"x": x.grad, "weight": layer.weight.grad, "bias": None if layer.bias is None else layer.bias.grad}
    for (name, gradient), wanted, magnitude in zip(seen.items(), expected, magnitudes, strict=True):
        if gradient is not None:
            bound = kernel_sum_bound(cell, terms[name], magnitude, wanted, added[name])
            assert_within(gradient, wanted, bound, what=f"gradient of {name}", because=BECAUSE)


@claim("conv-mostly-padding")
def test_one_voxel_within_its_padding(cell):
    layer = cell.place(nn.Conv3d(1, 1, 3, padding=2, bias=False))
    with torch.no_grad():
        layer.weight.copy_(torch.arange(1.0, 28.0).view(1, 1, 3, 3, 3))
    out = cell.run(layer)(cell.tensor(np.ones((1, 1, 1, 1, 1))))
    expected = np.arange(27.0, 0, -1).reshape(1, 1, 3, 3, 3)
    assert_within(out, expected, 0.0, what="kernel turned round", because="each sum has one term")
