"""The basic block: where the sum of input and branch is what was meant, fails, or silently broadcasts."""

import numpy as np
import pytest
import torch

from models.residual import BasicBlock
from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import accumulation_unit, assert_within, gamma, roundings


def block_in_eval(cell, rng, channels, stride=1):
    """A block with running statistics, weights and biases that all matter."""
    block = cell.place(BasicBlock(*channels, stride))
    for norm in (block.bn1, block.bn2):
        shape = norm.weight.shape
        norm.running_mean.copy_(cell.tensor(rng.normal(size=shape)))
        norm.running_var.copy_(cell.tensor(rng.uniform(0.5, 2.0, size=shape)))
        norm.weight.data.copy_(cell.tensor(rng.uniform(0.5, 2.0, size=shape)))
        norm.bias.data.copy_(cell.tensor(rng.normal(size=shape)))
    return block.eval()


def convolve(x, weight, bias):
    """3 x 3, stride 1, padding 1."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = x.shape[2:]
    return bias[:, None, None] + sum(
        np.einsum("nchw,oc->nohw", padded[:, :, i : i + height, j : j + width], weight[:, :, i, j])
        for i in range(3)
        for j in range(3)
    )


def reference(block, x):
    """The block's output, and the same over absolute values, which bounds how errors grow."""
    output, magnitude = x, np.abs(x)
    for conv, norm, activation in (
        (block.conv1, block.bn1, lambda y: np.maximum(y, 0)),
        (block.conv2, block.bn2, lambda y: y),
    ):
        weight, bias = to_numpy(conv.weight), to_numpy(conv.bias)
        mean, variance, gain, shift = (
            to_numpy(one)[:, None, None] for one in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        scale = gain / np.sqrt(variance + norm.eps)
        output = activation((convolve(output, weight, bias) - mean) * scale + shift)
        magnitude = convolve(magnitude, np.abs(weight), np.abs(bias))
        magnitude = (magnitude + np.abs(mean)) * scale + np.abs(shift)
    return np.maximum(x + output, 0), np.abs(x) + magnitude


@claim("module-residual-block")
@pytest.mark.parametrize(("height", "width"), [(5, 4), (1, 3)], ids=["5x4", "1x3"])
def test_block_adds_its_input(height, width, cell, rng):
    block = block_in_eval(cell, rng, (2, 2))
    x = cell.tensor(rng.normal(scale=5.0, size=(2, 2, height, width)))
    expected, magnitude = reference(block, to_numpy(x))
    # Two sums of 18 products with a bias, two normalisations of some 8 roundings, one sum.
    bound = gamma(2 * 19 + 2 * 8 + 2 * 2 + 1, accumulation_unit(cell)) * magnitude
    assert_within(block(x), expected, bound, what="output", because="60 roundings along the longest path")


@claim("module-residual-block")
@pytest.mark.parametrize(
    ("channels", "stride", "sizes", "dimension"),
    [((2, 4), 1, r"\(2\) .*\(4\)", 1), ((4, 2), 1, r"\(4\) .*\(2\)", 1), ((2, 2), 2, r"\(8\) .*\(2\)", 3),
     ((2, 4), 2, r"\(8\) .*\(2\)", 3)],
    ids=["widening", "narrowing", "striding", "both"],
)  # fmt: skip
def test_block_that_does_not_fit(channels, stride, sizes, dimension, cell, rng):
    block = block_in_eval(cell, rng, channels, stride)
    x = cell.tensor(rng.normal(size=(2, channels[0], 8, 8)))
    message = f"size of tensor a {sizes} at non-singleton dimension {dimension}"
    with pytest.raises(RuntimeError, match=message):
        block(x)


@claim("module-residual-stride-twice")
@pytest.mark.parametrize(
    ("stride", "size", "left"),
    [(2, (8, 12), (2, 3)), (2, (4, 4), (1, 1)), (3, (9, 27), (1, 3)), (2, (7, 5), (2, 2))],
    ids=["8x12", "4x4", "9x27", "7x5"],
)
def test_stride_is_taken_twice(stride, size, left, cell, rng):
    block = block_in_eval(cell, rng, (3, 3), stride)
    x = cell.tensor(rng.normal(size=(2, 3, *size)))
    assert block.branch(x).shape == (2, 3, *left)


@claim("module-residual-stride-twice")
@pytest.mark.parametrize(
    ("channels", "stride", "size", "branch"),
    [((2, 2), 2, (4, 4), (2, 2, 1, 1)), ((2, 2), 2, (4, 3), (2, 2, 1, 1)), ((1, 3), 1, (3, 4), (2, 3, 3, 4)),
     ((1, 3), 2, (4, 2), (2, 3, 1, 1))],
    ids=["one pixel", "one pixel of 4x3", "one channel", "one of both"],
)  # fmt: skip
def test_block_broadcasts_in_silence(channels, stride, size, branch, cell, rng):
    block = block_in_eval(cell, rng, channels, stride)
    x = cell.tensor(rng.normal(size=(2, channels[0], *size)))
    added = block.branch(x)
    assert added.shape == branch
    output = block(x)
    assert output.shape == (2, channels[1], *size)
    expected = np.maximum(to_numpy(x) + to_numpy(added), 0)
    assert_within(output, expected, roundings(cell, 1, expected), what="output", because="one sum, rounded once")


@claim("module-residual-parameters")
@pytest.mark.parametrize(("channels", "stride"), [((2, 3), 1), ((3, 2), 2), ((1, 4), 3)], ids=repr)
def test_what_the_parameters_mean(channels, stride):
    inside, outside = channels
    with torch.device("meta"):
        block, x = BasicBlock(inside, outside, stride), torch.empty(2, inside, 7, 5)
        first = block.conv1(x)
        second = block.conv2(torch.empty(2, outside, 7, 5))
    sizes = [(7 - 1) // stride + 1, (5 - 1) // stride + 1]
    assert [*first.shape] == [*second.shape] == [2, outside, *sizes]
    shapes = {name: tuple(parameter.shape) for name, parameter in block.named_parameters() if "conv" in name}
    assert shapes == {
        "conv1.weight": (outside, inside, 3, 3), "conv1.bias": (outside,),
        "conv2.weight": (outside, outside, 3, 3), "conv2.bias": (outside,),
    }  # fmt: skip


FITTING = [
    ((3, 3), (3,)),
    ((2, 1, 3), (4, 1)),
    ((5, 1, 4, 1), (3, 1, 1)),
    ((3,), (3, 1)),
    ((2, 3), ()),
    ((1,), (2, 0)),
]
CLASHING = {
    ((5, 2, 4, 1), (3, 1, 1)): (2, 3, 1),
    ((4,), (2,)): (4, 2, 0),
    ((2, 3), (2,)): (3, 2, 1),
    ((2, 1, 4), (2, 3, 2)): (4, 2, 2),
}


@claim("bcast-rules")
@pytest.mark.parametrize(("left", "right"), FITTING, ids=[f"{left}+{right}" for left, right in FITTING])
def test_sizes_that_fit(left, right, cell):
    # Whole numbers, each element its own: every sum is exact.
    x = np.arange(np.prod(left)).reshape(left)
    y = 100 * np.arange(np.prod(right)).reshape(right)
    for one, other in ((x, y), (y, x)):
        result = cell.tensor(one) + cell.tensor(other)
        assert_within(result, one + other, 0, what="sum", because="whole numbers are exact")


@claim("bcast-rules")
@pytest.mark.parametrize("shapes", CLASHING, ids=lambda shapes: f"{shapes[0]}+{shapes[1]}")
def test_sizes_that_clash(shapes, cell):
    a, b, dimension = CLASHING[shapes]
    x, y = (cell.tensor(np.ones(shape)) for shape in shapes)
    message = rf"tensor a \({a}\) must match the size of tensor b \({b}\) at non-singleton dimension {dimension}"
    with pytest.raises(RuntimeError, match=message):
        x + y
