"""The contract of out=, and the dtype of what is written in place."""

import itertools
import warnings

import numpy as np
import pytest
import torch

from torchclaims import claim
from torchclaims.covering import board
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, gamma, rounding_unit

# What takes out= and gives a matrix of two or three dimensions, of a matrix of 2 x 3, with its reference.
OPERATIONS = {
    "add": (lambda a, out: torch.add(a, 1, out=out), lambda a: a + 1),
    "mul": (lambda a, out: torch.mul(a, a, out=out), lambda a: a * a),
    "abs": (lambda a, out: torch.abs(a, out=out), np.abs),
    "exp": (lambda a, out: torch.exp(a, out=out), np.exp),
    "clamp": (lambda a, out: torch.clamp(a, -0.5, 0.5, out=out), lambda a: np.clip(a, -0.5, 0.5)),
    "mm": (lambda a, out: torch.mm(a, a.t(), out=out), lambda a: a @ a.T),
    "matmul": (lambda a, out: torch.matmul(a, a.t(), out=out), lambda a: a @ a.T),
    "bmm": (lambda a, out: torch.bmm(a[None], a.t()[None], out=out), lambda a: (a @ a.T)[None]),
    "cat": (lambda a, out: torch.cat([a, a], out=out), lambda a: np.concatenate([a, a])),
    "stack": (lambda a, out: torch.stack([a, a], out=out), lambda a: np.stack([a, a])),
    "cumsum": (lambda a, out: torch.cumsum(a, 1, out=out), lambda a: np.cumsum(a, 1)),
    "sum": (lambda a, out: torch.sum(a, 1, keepdim=True, out=out), lambda a: a.sum(1, keepdims=True)),
    "mean": (lambda a, out: torch.mean(a, 0, keepdim=True, out=out), lambda a: a.mean(0, keepdims=True)),
    "amax": (lambda a, out: torch.amax(a, 1, keepdim=True, out=out), lambda a: a.max(1, keepdims=True)),
    "tril": (lambda a, out: torch.tril(a, out=out), np.tril),
    "index_select": (
        lambda a, out: torch.index_select(a, 1, torch.tensor([2, 0], device=a.device), out=out),
        lambda a: a[:, [2, 0]],
    ),
    "outer": (lambda a, out: torch.outer(a[0], a[1], out=out), lambda a: np.outer(a[0], a[1])),
    "where": (lambda a, out: torch.where(a > 0, a, -a, out=out), np.abs),
    "sort": (
        lambda a, out: torch.sort(a, 1, out=(out, torch.empty(0, dtype=torch.long, device=a.device)))[0],
        lambda a: np.sort(a, 1),
    ),
    "softmax": (lambda a, out: torch.softmax(a, 1, out=out), lambda a: np.exp(a) / np.exp(a).sum(1, keepdims=True)),
}
BY_NAME = pytest.mark.parametrize("name", OPERATIONS)


def matrix(cell, rng):
    return cell.tensor(rng.uniform(-1, 1, (2, 3)))


@claim("out-strides")
@board(name=OPERATIONS.keys(), layout=["contiguous", "transposed", "stepped", "offset"])
def test_right_shape(cell, rng, name, layout):
    operation, reference = OPERATIONS[name]
    a = matrix(cell, rng)
    expected = reference(to_numpy(a))
    shape = expected.shape
    if layout == "transposed":
        out = cell.tensor(np.zeros(shape[::-1])).permute(*range(len(shape) - 1, -1, -1))
    elif layout == "stepped":
        out = cell.tensor(np.zeros((*shape, 2)))[..., 1]
    elif layout == "offset":
        out = cell.tensor(np.zeros((shape[0] + 1, *shape[1:])))[1:]
    else:
        out = cell.tensor(np.zeros(shape))
    strides, memory = out.stride(), out.data_ptr()
    assert operation(a, out) is out
    assert (out.stride(), out.data_ptr()) == (strides, memory)
    bound = gamma(12, rounding_unit(cell.dtype)) * 6
    assert_within(out, expected, bound, what=name, because="12 roundings of terms below 6")
    base = out._base
    if layout in ("stepped", "offset"):
        rest = base[..., 0] if layout == "stepped" else base[0]
        assert not rest.any(), f"{name} wrote beside its out tensor"


@claim("out-empty")
@BY_NAME
def test_empty(cell, rng, name):
    operation, reference = OPERATIONS[name]
    a = matrix(cell, rng)
    out = cell.tensor(np.zeros(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert operation(a, out) is out
    assert tuple(out.shape) == reference(to_numpy(a)).shape
    fresh = operation(a, torch.empty_like(out, memory_format=torch.contiguous_format))
    assert_same(out, fresh, what=f"{name} beside an out tensor of the right shape")


@claim("out-empty")
def test_empty_takes_the_strides(cell, rng):
    for x in (
        cell.tensor(rng.normal(size=(3, 2))).t(),
        cell.tensor(rng.normal(size=(2, 3, 4, 5))).contiguous(memory_format=torch.channels_last),
    ):
        out = cell.tensor(np.zeros((0, 3)))
        torch.add(x, 1, out=out)
        assert out.stride() == x.stride() == (x + 1).stride()


@claim("out-wrong-shape")
@BY_NAME
@pytest.mark.parametrize("shape", [(3, 5, 7), (1,), (2, 1)], ids=str)
def test_wrong_shape(cell, rng, name, shape):
    operation, reference = OPERATIONS[name]
    a = matrix(cell, rng)
    expected = reference(to_numpy(a))
    if expected.shape == shape:
        return
    out = cell.tensor(np.full(shape, 7.0))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            operation(a, out)
        except RuntimeError:
            assert_same(out, cell.tensor(np.full(shape, 7.0)), what="the out tensor that was refused")
            return
    assert any("was resized" in str(one.message) for one in seen), f"{name} resized without a warning"
    assert tuple(out.shape) == expected.shape


@claim("out-requires-grad")
@BY_NAME
def test_requires_grad(cell, rng, name):
    operation, reference = OPERATIONS[name]
    a = matrix(cell, rng)
    shape = reference(to_numpy(a)).shape
    leaf, plain = cell.tensor(np.zeros(shape), requires_grad=True), cell.tensor(np.zeros(shape))
    with pytest.raises(RuntimeError, match=r"don't support automatic differentiation|leaf Variable that requires grad"):
        operation(a, leaf)
    assert not leaf.any()
    with torch.no_grad():
        operation(a, leaf)
        operation(a, plain)
    assert_same(leaf.detach(), plain, what="the out tensor that requires grad")


KINDS = [torch.bool, torch.int32, torch.float32, torch.complex64]
WIDTHS = [torch.float64, torch.bfloat16, torch.float16, torch.int8]


@claim("out-lower-kind")
@pytest.mark.parametrize(("given", "taken"), list(itertools.product(KINDS, KINDS)), ids=str)
def test_kinds(given, taken):
    x = torch.tensor([0, 1, 1]).to(given)
    out = torch.zeros(3).to(taken)
    if KINDS.index(taken) < KINDS.index(given):
        with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
            torch.mul(x, x, out=out)
        assert not out.any()
    else:
        torch.mul(x, x, out=out)
        assert out.tolist() == torch.tensor([0, 1, 1]).to(taken).tolist()


@claim("out-lower-kind")
@pytest.mark.parametrize(("number", "taken"), [(1.5, torch.int32), (1j, torch.float32), (2, torch.bool)], ids=str)
@pytest.mark.parametrize("name", ["add", "sub", "mul"])
def test_a_number_of_a_higher_kind(name, number, taken):
    out = torch.zeros(3, dtype=taken)
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
        getattr(torch, name)(
            torch.ones(3, dtype=torch.int32).to(torch.promote_types(taken, torch.uint8)), number, out=out
        )
    assert not out.any()


@claim("out-lower-kind")
@pytest.mark.parametrize("taken", WIDTHS, ids=str)
def test_widths_of_one_kind(taken):
    x = torch.tensor([1.0, 2.5, 300.0]) if taken.is_floating_point else torch.tensor([1, 2, 100])
    out = torch.zeros(3, dtype=taken)
    torch.add(x, x, out=out)
    assert out.tolist() == (x + x).to(taken).tolist()


REDUCTIONS = {
    "sum": lambda x, out: torch.sum(x, 0, out=out),
    "prod": lambda x, out: torch.prod(x, 0, out=out),
    "cumsum": lambda x, out: torch.cumsum(x, 0, out=out),
    "cumprod": lambda x, out: torch.cumprod(x, 0, out=out),
}


@claim("out-lower-kind-reductions")
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name):
    x = torch.tensor([1.5, 1.5, 2.0])
    out = torch.zeros(() if name in ("sum", "prod") else (3,), dtype=torch.int64)
    try:
        REDUCTIONS[name](x, out)
    except RuntimeError:
        return
    raise AssertionError(f"{name} of [1.5, 1.5, 2] is {out.tolist()}")


@claim("out-same-dtype")
@pytest.mark.parametrize("taken", [torch.float64, torch.bfloat16, torch.int32, torch.complex64], ids=str)
@pytest.mark.parametrize("name", ["mm", "matmul", "bmm"])
def test_no_promotion(cell, rng, name, taken):
    a = matrix(cell, rng)
    out = torch.zeros((1, 2, 2) if name == "bmm" else (2, 2), dtype=taken, device=a.device)
    with pytest.raises(RuntimeError, match=r"dtype|scalar type|out"):
        OPERATIONS[name][0](a, out)
    assert not out.any()


@claim("inplace-promotion")
@pytest.mark.parametrize(("left", "right"), list(itertools.product(KINDS, KINDS)), ids=str)
def test_in_place_kinds(left, right):
    x, y = torch.tensor([0, 1, 1]).to(left), torch.tensor([1, 1, 0]).to(right)
    assert torch.can_cast(torch.result_type(x, y), left) == (KINDS.index(right) <= KINDS.index(left))
    if KINDS.index(right) > KINDS.index(left):
        with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
            x.mul_(y)
        assert x.tolist() == torch.tensor([0, 1, 1]).to(left).tolist()
    else:
        assert x.mul_(y).tolist() == torch.tensor([0, 1, 0]).to(left).tolist()
        assert x.dtype == left


@claim("inplace-promotion")
def test_computed_in_the_promoted_type():
    x = torch.tensor([1.0], dtype=torch.float16)
    x.add_(torch.tensor([2.0**-11], dtype=torch.float64)).sub_(torch.tensor([1.0], dtype=torch.float64))
    assert x.item() == 0, "each operation rounds to the operand's dtype"
    big = torch.tensor([60000.0], dtype=torch.float16)
    big.mul_(torch.tensor([0.5e-3], dtype=torch.float64))
    assert big.item() == 30
    whole = torch.tensor([100], dtype=torch.int8)
    assert whole.add_(torch.tensor([1000], dtype=torch.int64)).item() == (1100 + 128) % 256 - 128
