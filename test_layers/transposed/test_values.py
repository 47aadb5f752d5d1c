"""What a transposed convolution computes, forward and backward, beside the sum of products that defines it."""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.transposed import Placement, transposed_convolve, transposed_convolve_backward
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, kernel_sum_bound

LAYERS = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
BECAUSE = "a sum of products in any order, rounded once"


class Case(NamedTuple):
    """A transposed convolution of x (N, C, *spatial) to ``out`` channels; what is not named is the layer's default."""

    x: tuple[int, ...]
    out: int
    kernel: tuple[int, ...]
    more: dict[str, Any]

    def layer(self, cell) -> nn.Module:
        return cell.place(LAYERS[len(self.kernel)](self.x[1], self.out, self.kernel, **self.more))

    @property
    def placement(self) -> Placement:
        return Placement.of(self.kernel, **{k: v for k, v in self.more.items() if k not in ("groups", "bias")})

    @property
    def groups(self) -> int:
        return self.more.get("groups", 1)


CASES = {
    "plain": Case((2, 2, 5, 7), 3, (3, 2), {}),
    "no bias": Case((2, 2, 5, 7), 3, (3, 2), {"bias": False}),
    "stride": Case((1, 2, 4, 3), 2, (2, 3), {"stride": (2, 3)}),
    "stride beyond the kernel": Case((1, 2, 3, 4), 2, (2, 1), {"stride": (3, 4)}),
    "padding": Case((2, 1, 4, 5), 2, (3, 5), {"padding": (1, 2)}),
    "padding beyond the kernel": Case((1, 2, 6, 7), 2, (2, 2), {"padding": (2, 3)}),
    "dilation": Case((1, 2, 4, 3), 2, (3, 2), {"dilation": (2, 3)}),
    "output padding": Case((1, 2, 4, 3), 2, (3, 2), {"stride": (2, 3), "padding": 1, "output_padding": (1, 2)}),
    "output padding without a stride": Case((1, 2, 3, 4), 2, (2, 2), {"dilation": (3, 2), "output_padding": (2, 1)}),
    "all at once": Case(
        (1, 4, 3, 4),
        6,
        (3, 2),
        {"stride": (2, 3), "padding": (1, 2), "dilation": (3, 2), "output_padding": (2, 1), "groups": 2},
    ),
    "square arguments": Case((1, 2, 4, 3), 2, (3, 3), {"stride": 2, "padding": 1, "dilation": 2, "output_padding": 1}),
    "depthwise": Case((2, 3, 6, 5), 3, (3, 3), {"groups": 3, "padding": 1}),
    "depthwise, two each": Case((1, 3, 4, 3), 6, (3, 3), {"groups": 3, "stride": (1, 2)}),
    "many samples": Case((17, 1, 1, 2), 2, (2, 1), {}),
    "one by one": Case((2, 5, 3, 4), 4, (1, 1), {}),
    "one by one, strided": Case((2, 3, 3, 4), 4, (1, 1), {"stride": (2, 3)}),
    "one pixel": Case((2, 3, 1, 1), 2, (3, 4), {"stride": 3}),
    "one pixel cut to one": Case((2, 3, 1, 1), 2, (3, 3), {"padding": 1}),
    "one column": Case((2, 2, 5, 1), 3, (2, 1), {"stride": (2, 1)}),
    "sixteen wide": Case((1, 16, 2, 16), 15, (1, 3), {}),
    "many channels to one": Case((2, 9, 4, 5), 1, (3, 3), {"padding": 1}),
    **{
        f"{size} channels, {size} wide": Case((1, size, 1, size), size, (1, 2), {"stride": 2})
        for size in (7, 8, 9, 17, 31, 33)
    },
    "in 1-D": Case((2, 3, 9), 4, (3,), {"stride": 2, "padding": 1}),
    "in 1-D, one wide": Case((2, 5, 9), 4, (1,), {}),
    "in 1-D, dilated groups": Case((2, 4, 15), 6, (4,), {"dilation": 3, "groups": 2, "padding": 2}),
    "in 1-D, output padding": Case((2, 4, 7), 6, (3,), {"stride": 4, "groups": 2, "output_padding": 3}),
    "in 1-D, either padding": Case((2, 2, 5), 3, (4,), {"stride": 3, "padding": 1, "output_padding": 2}),
    "in 3-D": Case((2, 2, 3, 2, 4), 3, (2, 3, 2), {"padding": (1, 0, 1)}),
    "in 3-D, depthwise": Case((2, 3, 2, 3, 3), 3, (2, 3, 3), {"groups": 3, "padding": (0, 1, 1)}),
    "in 3-D, all at once": Case(
        (1, 4, 3, 1, 3),
        2,
        (2, 1, 3),
        {"stride": (2, 1, 3), "padding": (1, 0, 2), "dilation": (2, 2, 1), "output_padding": (1, 1, 2), "groups": 2},
    ),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def expected_of(case, x, weight, bias):
    """The output and its magnitude: the same sum over absolute values."""
    factors = [None if factor is None else to_numpy(factor) for factor in (x, weight, bias)]
    sizes = [None if factor is None else abs(factor) for factor in factors]
    return [transposed_convolve(*given, case.placement, case.groups) for given in (factors, sizes)]


def terms_of(case):
    return case.x[1] // case.groups * int(np.prod(case.kernel)) + 1


@claim("convt-formula")
@each_case
def test_forward(cell, rng, case):
    layer, x = case.layer(cell), cell.tensor(rng.normal(size=case.x))
    out = cell.run(layer)(x)
    assert out.dtype == cell.dtype
    expected, magnitude = expected_of(case, x, layer.weight, layer.bias)
    # Products that overlap are added in the dtype of the output.
    bound = kernel_sum_bound(cell, terms_of(case), magnitude, expected, int(np.prod(case.kernel)) + 1)
    assert_within(out, expected, bound, what="output", because=BECAUSE)


@claim("convt-gradients")
@each_case
def test_gradients(cell, rng, case):
    layer, x = case.layer(cell), cell.tensor(rng.normal(size=case.x), requires_grad=True)
    out = cell.run(layer)(x)
    grad = cell.tensor(rng.normal(size=tuple(out.shape)))
    out.backward(grad)
    factors = [to_numpy(tensor) for tensor in (grad, x, layer.weight)]
    expected = transposed_convolve_backward(*factors, case.placement, case.groups)
    magnitudes = transposed_convolve_backward(*map(abs, factors), case.placement, case.groups)
    terms = (layer.weight[0].numel(), len(x) * int(np.prod(case.x[2:])), out.numel() // case.out)
    parts = (int(np.prod(case.kernel)), len(x), len(x))
    seen = {"x": x.grad, "weight": layer.weight.grad, "bias": None if layer.bias is None else layer.bias.grad}
    for (name, gradient), wanted, size, count, part in zip(
        seen.items(), expected, magnitudes, terms, parts, strict=True
    ):
        if name != "bias" or layer.bias is not None:
            assert gradient is not None, f"no gradient of {name}"
            bound = kernel_sum_bound(cell, count, size, wanted, part)
            assert_within(gradient, wanted, bound, what=f"gradient of {name}", because=BECAUSE)


@claim("convt-output-padding")
@pytest.mark.parametrize("padding", [0, 2], ids=["nothing cut", "cut"])
def test_output_padding(cell, rng, padding):
    layer = cell.place(nn.ConvTranspose2d(2, 3, 3, stride=3, padding=padding, output_padding=2))
    x = cell.tensor(rng.integers(1, 4, size=(2, 2, 3, 4)).astype(float))
    layer.weight.data.copy_(cell.tensor(rng.integers(1, 4, size=(2, 3, 3, 3)).astype(float)))
    layer.bias.data.copy_(cell.tensor([1.0, 2.0, 3.0]))
    whole = np.pad(
        transposed_convolve(*map(to_numpy, (x, layer.weight)), None, Placement.of((3, 3), stride=3)),
        [(0, 0), (0, 0), (0, 2), (0, 2)],
    )
    whole = whole + to_numpy(layer.bias).reshape(-1, 1, 1)
    ends = [slice(padding, size - padding) for size in whole.shape[2:]]
    out = cell.run(layer)(x)
    assert_within(out, whole[(..., *ends)], 0.0, what="output", because="whole numbers are exact")


@claim("convt-groups-apart")
def test_what_is_not_a_number_stays_in_its_group(cell, rng):
    layer = cell.place(nn.ConvTranspose2d(4, 6, 2, groups=2))
    values = rng.normal(size=(1, 4, 3, 3))
    values[:, 1] = np.nan
    out = cell.run(layer)(cell.tensor(values))
    assert to_numpy(torch.isnan(out)).all((0, 2, 3)).tolist() == [True] * 3 + [False] * 3
    assert bool(torch.isfinite(out[:, 3:]).all())


@claim("convt-unbatched")
@pytest.mark.parametrize("dims", LAYERS)
def test_unbatched(cell, rng, dims):
    case = Case((1, 2, *(5, 4, 3)[:dims]), 3, (2,) * dims, {"stride": 2, "padding": 1, "output_padding": 1})
    layer, x = case.layer(cell), cell.tensor(rng.normal(size=case.x[1:]))
    expected, magnitude = expected_of(case, x[None], layer.weight, layer.bias)
    bound = kernel_sum_bound(cell, terms_of(case), magnitude[0], expected[0])
    assert_within(cell.run(layer)(x), expected[0], bound, what="unbatched output", because=BECAUSE)


@claim("convt-empty-batch")
@pytest.mark.parametrize(("dims", "groups"), [(1, 1), (2, 1), (2, 2), (3, 1)])
def test_empty_batch(cell, dims, groups):
    layer = cell.place(LAYERS[dims](2, 4, 2, stride=2, padding=1, groups=groups))
    x = cell.tensor(np.empty((0, 2, *(5, 4, 3)[:dims]), np.float32), requires_grad=True)
    out = cell.run(layer)(x)
    assert tuple(out.shape) == (0, 4, *(8, 6, 4)[:dims])
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape
    for name, parameter in layer.named_parameters():
        assert_same(parameter.grad, torch.zeros_like(parameter), what=f"gradient of {name}")


def turned(x):
    """Channels last, as if made with height and width exchanged, and then turned."""
    return x.transpose(2, 3).contiguous(memory_format=torch.channels_last).transpose(2, 3)


def whole_numbers(shape):
    return (np.arange(np.prod(shape)) * 5 % 7 - 3.0).reshape(shape)


TURNED = {
    "one group": ((4, 4, 3, 1), 1),
    "two groups": ((4, 2, 3, 1), 2),
    "two groups, one row": ((4, 2, 1, 3), 2),
    "depthwise": ((4, 1, 3, 1), 4),
}


each_turned = pytest.mark.parametrize(("weight", "groups"), TURNED.values(), ids=TURNED)


def run_turned(cell, weight, groups):
    """Input and kernel, in which one dimension has one element and a stride of its own, and the output."""
    x = cell.tensor(whole_numbers((2, 4, 3, 3))).contiguous(memory_format=torch.channels_last).requires_grad_()
    kernels = turned(cell.tensor(whole_numbers(weight))).requires_grad_()
    return x, kernels, cell.run(nn.functional.conv_transpose2d)(x, kernels, groups=groups)


@claim("convt-strides-of-one")
@each_turned
def test_strides_of_one(cell, weight, groups):
    _, _, out = run_turned(cell, weight, groups)
    at = Placement.of(weight[2:])
    expected = transposed_convolve(whole_numbers((2, 4, 3, 3)), whole_numbers(weight), None, at, groups)
    assert_within(out, expected, 0.0, what="output", because="whole numbers are exact")


@claim("convt-strides-of-one-gradients")
@each_turned
def test_gradients_with_strides_of_one(cell, weight, groups):
    x, kernels, out = run_turned(cell, weight, groups)
    grad = whole_numbers(tuple(out.shape))
    out.backward(cell.tensor(grad))
    factors = grad, whole_numbers((2, 4, 3, 3)), whole_numbers(weight)
    of_x, of_weight, _ = transposed_convolve_backward(*factors, Placement.of(weight[2:]), groups)
    assert_within(x.grad, of_x, 0.0, what="gradient of x", because="whole numbers are exact")
    assert_within(kernels.grad, of_weight, 0.0, what="gradient of weight", because="whole numbers are exact")
