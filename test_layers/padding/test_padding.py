"""Padding layers and F.pad, beside a choice of source elements."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import pad as functional_pad

from torchclaims import claim
from torchclaims.covering import board, covering
from torchclaims.reference.padding import pad, pad_backward
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within

MODES = {
    "Constant": "constant",
    "Zero": "constant",
    "Reflection": "reflect",
    "Replication": "replicate",
    "Circular": "circular",
}
EXACT = "copies are exact, and so are sums of small whole numbers"

# Paddings of 1, 2 and 3 dimensions, and the input's shape.
CASES = {
    "one number": (1, (2, 3, 4)),
    "unlike ends": ((2, 1), (2, 3, 4)),
    "one side": ((0, 3), (2, 3, 4)),
    "cropped": ((-1, 0), (2, 3, 5)),
    "cropped and padded": ((-1, 2), (2, 3, 5)),
    "padded and cropped": ((3, -2), (1, 2, 6)),
    "long": ((7, 8), (1, 2, 9)),
    "longer": ((15, 16), (1, 1, 17)),
    "unbatched": ((1, 2), (3, 4)),
    "in 2-D, one number": (2, (2, 3, 4, 3)),
    "in 2-D": ((2, 1, 0, 3), (2, 3, 4, 5)),
    "in 2-D, cropped": ((-1, 2, 1, -2), (2, 3, 5, 4)),
    "in 2-D, one column": ((0, 0, 1, 2), (2, 3, 4, 1)),
    "in 2-D, unbatched": ((1, 2, 0, 1), (3, 4, 3)),
    "in 2-D, wide": ((8, 7, 1, 0), (1, 2, 2, 33)),
    "in 3-D, one number": (1, (1, 2, 2, 3, 2)),
    "in 3-D": ((2, 1, 0, 3, 1, 0), (2, 3, 3, 4, 5)),
    "in 3-D, cropped": ((-1, 2, 1, -1, 0, 2), (1, 2, 3, 4, 5)),
    "in 3-D, unbatched": ((1, 0, 0, 1, 2, 1), (2, 4, 3, 2)),
}


def dims_of(case):
    paddings, shape = CASES[case]
    return len(paddings) // 2 if isinstance(paddings, tuple) else len(shape) - 2


def layer_of(kind, dims, paddings, value):
    layer = getattr(nn, f"{kind}Pad{dims}d")
    return layer(paddings, value) if kind == "Constant" else layer(paddings)


def check(cell, rng, kind, case, backward):
    paddings, shape = CASES[case]
    dims, value = dims_of(case), -2.5 if kind == "Constant" else 0.0
    layer = layer_of(kind, dims, paddings, value)
    pairs = (
        [(paddings, paddings)] * dims
        if isinstance(paddings, int)
        else list(zip(paddings[::2], paddings[1::2], strict=True))
    )
    values = rng.integers(-9, 10, size=shape).astype(float)
    x = cell.tensor(values, requires_grad=True)
    out = cell.run(layer)(x)
    expected = pad(values, pairs, MODES[kind], value)
    assert out.dtype == cell.dtype
    assert_within(out, expected, 0.0, what="padded", because=EXACT)
    if backward:
        grad = rng.integers(-1, 2, size=expected.shape).astype(float)
        out.backward(cell.tensor(grad))
        wanted = pad_backward(grad, shape, pairs, MODES[kind])
        assert_within(x.grad, wanted, 0.0, what="gradient", because=EXACT)


def parametrised(*kinds):
    return pytest.mark.parametrize(("kind", "case"), [(kind, case) for kind in kinds for case in CASES])


@claim("pad-values")
@parametrised("Constant", "Reflection", "Replication")
def test_values(cell, rng, kind, case):
    check(cell, rng, kind, case, backward=False)


@claim("pad-circular")
@parametrised("Circular")
def test_circular(cell, rng, kind, case):
    check(cell, rng, kind, case, backward=False)


@claim("pad-zero")
@parametrised("Zero")
def test_zero(cell, rng, kind, case):
    check(cell, rng, kind, case, backward=False)


@claim("pad-gradients")
@board(2, 0, kind=MODES.keys(), case=CASES.keys())
def test_gradients(cell, rng, kind, case):
    check(cell, rng, kind, case, backward=True)


@claim("pad-half-precision")
@board(2, 1, kind=MODES.keys(), case=CASES.keys())
def test_half_precision(cell, rng, kind, case):
    check(cell, rng, kind, case, backward=True)


FUNCTIONAL = {
    "last": ((3, 2, 4), (1, 2)),
    "last two": ((3, 2, 4), (0, 2, 3, 1)),
    "all": ((3, 2, 4), (1, 0, 0, 2, 3, 1)),
    "four of four": ((2, 1, 3, 2), (1, 0, 0, 2, 2, 1, 1, 1)),
    "none": ((3, 2), ()),
    "one dimension": ((5,), (2, 3)),
    "six dimensions": ((1, 2, 1, 2, 1, 2), (1, 1, 0, 2)),
    "cropped": ((5, 4), (-2, 1, 3, -4)),
    "nothing to pad": ((2, 0), (2, 1)),
}


@claim("pad-functional")
@covering(shape__paddings=FUNCTIONAL, value={"default": None, "given": 0.5})
def test_functional(cell, rng, shape, paddings, value):
    values = rng.integers(-9, 10, size=shape).astype(float)
    pairs = list(zip(paddings[::2], paddings[1::2], strict=True))
    more = {} if value is None else {"value": value}
    out = cell.run(functional_pad)(cell.tensor(values), paddings, **more)
    assert_within(out, pad(values, pairs, "constant", value or 0.0), 0.0, what="padded", because=EXACT)


@claim("pad-functional-dimensions")
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_dimensions(cell, rng, mode):
    for dims in range(1, 7):
        for count in range(1, dims + 1):
            values = rng.integers(-9, 10, size=(3,) * dims).astype(float)
            pairs = [(1, 2), (2, 0), (0, 1)][:count]
            paddings = [number for pair in pairs for number in pair]
            if dims - count in (1, 2) and count < 4:
                out = cell.run(functional_pad)(cell.tensor(values), paddings, mode=mode)
                assert_within(out, pad(values, pairs, mode), 0.0, what=f"{count} of {dims}", because=EXACT)
            else:
                with pytest.raises(NotImplementedError, match=r"[Pp]adding"):
                    functional_pad(cell.tensor(values), paddings + [0] * (2 * count - len(paddings)), mode=mode)


@claim("pad-copies")
@pytest.mark.parametrize("value", [-0.0, float("nan"), float("inf"), 2.0**-1074])
def test_special_constants(cell, value):
    value = cell.tensor(value).item()  # in half precision the least number is 0
    out, expected = cell.run(nn.ConstantPad1d(1, value))(cell.tensor([[1.0]])), np.array([[value, 1.0, value]])
    assert_within(out, expected, 0.0, what="padded", because=EXACT)
    assert (np.signbit(to_numpy(out)) == np.signbit(expected))[~np.isnan(expected)].all()


@claim("pad-copies")
@pytest.mark.parametrize("kind", MODES)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_special_values(cell, kind, dims):
    row = [float("nan"), -0.0, float("inf"), float("-inf"), 2.0**-149 if cell.dtype == torch.float32 else 2.0**-1074]
    values = np.broadcast_to(np.array(row), (1, 2, *[2] * (dims - 1), 5)).copy()
    value = float("-inf") if kind == "Constant" else 0.0
    out = cell.run(layer_of(kind, dims, 1, value))(cell.tensor(values))
    expected = pad(values, [(1, 1)] * dims, MODES[kind], value)
    assert_within(out, expected, 0.0, what="padded", because=EXACT)
    assert (np.signbit(to_numpy(out)) == np.signbit(expected))[~np.isnan(expected)].all()


@claim("pad-copies")
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8], ids=str)
def test_whole_numbers(cell, dtype):
    largest = torch.iinfo(dtype).max
    x = torch.tensor([[[1, largest, 2], [largest - 1, 0, 3]]], dtype=dtype, device=cell.device.name)
    out = cell.run(functional_pad)(x, (1, 1, 1, 0), value=7)
    assert out.dtype == dtype
    assert out.tolist() == [[[7] * 5, [7, 1, largest, 2, 7], [7, largest - 1, 0, 3, 7]]]
    circular = cell.run(functional_pad)(x, (0, 2), mode="circular").tolist()
    assert circular == [[[*row, *row[:2]] for row in x[0].tolist()]]


@claim("pad-one-number")
@pytest.mark.parametrize("kind", MODES)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_one_number(kind, dims):
    assert tuple(layer_of(kind, dims, 3, 1.0).padding) == (3,) * (2 * dims)
    ends = (1, 2, 0, 3, 2, 2)[: 2 * dims]
    layer = layer_of(kind, dims, ends, 1.0)
    assert tuple(layer.padding) == ends
    lengths = [4 + before + after for before, after in zip(ends[::2], ends[1::2], strict=True)]
    assert tuple(layer(torch.ones(2, 3, *[4] * dims)).shape) == (2, 3, *reversed(lengths))


@claim("pad-limits")
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(
    ("kind", "most", "message"),
    [
        ("Reflection", 3, "Padding size should be less than the corresponding input dimension"),
        ("Circular", 4, "wrapping around more than once"),
    ],
)
def test_largest(dims, kind, most, message):
    x = torch.ones(1, 2, *[4] * dims)
    for side in range(2 * dims):
        ends = [0] * (2 * dims)
        ends[side] = most
        assert layer_of(kind, dims, tuple(ends), 0.0)(x).shape[-1 - side // 2] == 4 + most
        ends[side] = most + 1
        with pytest.raises(RuntimeError, match=message):
            layer_of(kind, dims, tuple(ends), 0.0)(x)


@claim("pad-limits")
@pytest.mark.parametrize("kind", ["Reflection", "Replication"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_what_is_left(kind, dims):
    x = torch.ones(1, 2, *[4] * dims)
    assert layer_of(kind, dims, (-2, -1) * dims, 0.0)(x).shape == (1, 2, *[1] * dims)
    with pytest.raises(RuntimeError, match=r"too small|>= 1 in every dimension"):
        layer_of(kind, dims, (-2, -2) * dims, 0.0)(x)


@claim("pad-replication-positive")
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_one_dimension_left_empty(dims):
    x = torch.ones(1, 2, *[4] * dims)
    for axis in range(dims):
        ends = [0] * (2 * dims)
        ends[2 * axis : 2 * axis + 2] = [-2, -2]
        with pytest.raises(RuntimeError, match=r"too small|>= 1 in every dimension"):
            layer_of("Replication", dims, tuple(ends), 0.0)(x)


@claim("pad-refused")
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_circular_dimensions(dims):
    layer = layer_of("Circular", dims, 1, 0.0)
    for size in (dims, dims + 3):
        with pytest.raises(ValueError, match=rf"expected {dims + 1}D or {dims + 2}D input \(got {size}D input\)"):
            layer(torch.ones([3] * size))
    for size in (dims + 1, dims + 2):
        assert layer(torch.ones([3] * size)).shape[-1] == 5


@claim("pad-refused")
@pytest.mark.parametrize("kind", ["Reflection", "Replication"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_other_dimensions(kind, dims):
    for size in (dims, dims + 3):
        with pytest.raises(NotImplementedError, match=r"[Pp]adding"):
            layer_of(kind, dims, 1, 0.0)(torch.ones([3] * size))


@claim("pad-refused")
@pytest.mark.parametrize(
    ("paddings", "more", "error", "message"),
    [
        ((1,), {}, RuntimeError, "must be divisible by 2"),
        ((1, 1, 1), {}, RuntimeError, "must be divisible by 2"),
        ((1,) * 8, {}, RuntimeError, "Padding length"),
        ((1, 1), {"mode": "mirror"}, NotImplementedError, "Unrecognised padding mode"),
        ((1, 1), {"mode": "reflect", "value": 3.0}, RuntimeError, "doesn't take in value"),
        ((-2, -3), {}, RuntimeError, "negative|empty"),
    ],
    ids=["one", "three", "too many", "mode", "value", "nothing left"],
)
def test_arguments(paddings, more, error, message):
    with pytest.raises(error, match=message):
        functional_pad(torch.ones(2, 3, 4), paddings, **more)


@claim("pad-empty-batch")
@pytest.mark.parametrize("kind", MODES)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_empty_batch(cell, kind, dims):
    x = cell.tensor(np.empty((0, 2, *[3] * dims), np.float32), requires_grad=True)
    out = cell.run(layer_of(kind, dims, 2, 1.0))(x)
    assert tuple(out.shape) == (0, 2, *[7] * dims)
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape


@claim("pad-circular-cropped")
@pytest.mark.parametrize("paddings", [(-5, 5), (-3, 2), (-3, 3), (-4, 3), (4, -2)], ids=str)
def test_values_of_the_input(cell, paddings):
    values = np.arange(5.0)
    # Under deterministic algorithms memory that nothing was written to reads as not-a-number.
    torch.use_deterministic_algorithms(True)
    try:
        out = to_numpy(cell.run(nn.CircularPad1d(paddings))(cell.tensor(values[None])))[0]
    finally:
        torch.use_deterministic_algorithms(False)
    assert len(out) == 5 + sum(paddings)
    strangers = sorted({str(number) for number in out if number not in values})
    assert not strangers, f"expected values of the input, seen {strangers} too"


@claim("pad-repr")
def test_repr():
    assert repr(nn.ConstantPad1d((1, 2), 3.5)) == "ConstantPad1d(padding=(1, 2), value=3.5)"
    assert repr(nn.ConstantPad2d(1, 2)) == "ConstantPad2d(padding=(1, 1, 1, 1), value=2)"
    for dims in (1, 2, 3):
        for kind in ("Zero", "Reflection", "Replication", "Circular"):
            assert repr(layer_of(kind, dims, 4, 0.0)) == f"{kind}Pad{dims}d({(4,) * (2 * dims)})"


def test_reference_by_the_documented_examples():
    row = np.arange(4.0)
    assert pad(row, [(3, 1)], "reflect").tolist() == [3, 2, 1, 0, 1, 2, 3, 2]
    assert pad(row, [(3, 1)], "replicate").tolist() == [0, 0, 0, 0, 1, 2, 3, 3]
    assert pad(row, [(3, 1)], "circular").tolist() == [1, 2, 3, 0, 1, 2, 3, 0]
    assert_same(
        torch.tensor(pad_backward(np.ones(8), (4,), [(3, 1)], "reflect").tolist()),
        torch.tensor([1.0, 2.0, 3.0, 2.0]),
        what="copies",
    )
