"""What an in-place operation is: same object, same memory, a value that everybody sees, a version counted."""

import operator

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, roundings

# Method, its further arguments, and what NumPy says of it. Arrays among the arguments become tensors.
OTHER = np.array([[0.5, -2.0, 3.0], [1.5, 0.25, -1.0]])
MASK = np.array([[True, False, True], [False, False, True]])
TWINS = {
    "add": ((OTHER,), {"alpha": 2}, lambda x: x + 2 * OTHER),
    "sub": ((OTHER,), {"alpha": 3}, lambda x: x - 3 * OTHER),
    "mul": ((OTHER,), {}, lambda x: x * OTHER),
    "div": ((OTHER,), {"rounding_mode": "floor"}, lambda x: np.floor(x / OTHER)),
    "true_divide": ((OTHER,), {}, lambda x: x / OTHER),
    "fmod": ((1.5,), {}, lambda x: np.fmod(x, 1.5)),
    "remainder": ((1.5,), {}, lambda x: np.mod(x, 1.5)),
    "pow": ((3,), {}, lambda x: x**3),
    "square": ((), {}, np.square),
    "neg": ((), {}, np.negative),
    "abs": ((), {}, np.abs),
    "sign": ((), {}, np.sign),
    "floor": ((), {}, np.floor),
    "ceil": ((), {}, np.ceil),
    "round": ((), {}, np.round),
    "trunc": ((), {}, np.trunc),
    "frac": ((), {}, lambda x: x - np.trunc(x)),
    "exp": ((), {}, np.exp),
    "expm1": ((), {}, np.expm1),
    "sin": ((), {}, np.sin),
    "cos": ((), {}, np.cos),
    "sinh": ((), {}, np.sinh),
    "atan": ((), {}, np.arctan),
    "tanh": ((), {}, np.tanh),
    "sigmoid": ((), {}, lambda x: 1 / (1 + np.exp(-x))),
    "reciprocal": ((), {}, np.reciprocal),
    "relu": ((), {}, lambda x: np.maximum(x, 0)),
    "clamp": ((-0.5, 1.25), {}, lambda x: np.clip(x, -0.5, 1.25)),
    "clip": ((), {"max": 0.25}, lambda x: np.minimum(x, 0.25)),
    "hypot": ((OTHER,), {}, lambda x: np.hypot(x, OTHER)),
    "copysign": ((OTHER,), {}, lambda x: np.copysign(x, OTHER)),
    "lerp": ((OTHER, 0.25), {}, lambda x: x + 0.25 * (OTHER - x)),
    "addcmul": ((OTHER, OTHER), {"value": 0.5}, lambda x: x + 0.5 * OTHER * OTHER),
    "addcdiv": ((OTHER, OTHER + 4), {"value": 0.5}, lambda x: x + 0.5 * OTHER / (OTHER + 4)),
    "masked_fill": ((MASK, 7.0), {}, lambda x: np.where(MASK, 7.0, x)),
    "cumsum": ((1,), {}, lambda x: np.cumsum(x, 1)),
    "cumprod": ((0,), {}, lambda x: np.cumprod(x, 0)),
    "tril": ((), {}, np.tril),
    "triu": ((1,), {}, lambda x: np.triu(x, 1)),
    "gt": ((0.25,), {}, lambda x: x > 0.25),
    "le": ((OTHER,), {}, lambda x: x <= OTHER),
    "index_fill": ((1, np.array([2, 0]), 9.0), {}, lambda x: np.stack([[9, b, 9] for _, b, _ in x])),
    "index_add": (
        (1, np.array([2, 0, 2]), OTHER),
        {"alpha": 2},
        lambda x: x + 2 * np.stack([OTHER[:, 1], 0 * OTHER[:, 0], OTHER[:, 0] + OTHER[:, 2]], 1),
    ),
    "index_copy": ((0, np.array([1]), OTHER[:1]), {}, lambda x: np.stack([x[0], OTHER[0]])),
    "scatter_add": (
        (0, np.array([[0, 1, 1], [0, 0, 1]]), OTHER),
        {},
        lambda x: x + np.array([[2.0, 0.25, 0.0], [0.0, -2.0, 2.0]]),
    ),
}


def values(rng):
    """Two by three numbers of either sign, between 0.3 and 1.7 in size."""
    return rng.choice([-1.0, 1.0], (2, 3)) * rng.uniform(0.3, 1.7, (2, 3))


def place(cell, argument):
    """An array of numbers as the cell's tensor; an index or a mask keeps its dtype; a scalar stays."""
    if not isinstance(argument, np.ndarray):
        return argument
    kept = {"b": torch.bool, "i": torch.int64}.get(argument.dtype.kind)
    return cell.tensor(argument, dtype=kept)


@claim("inplace-keeps-memory", "inplace-underscore-suffix")
@pytest.mark.parametrize("name", TWINS)
def test_operation_and_its_twin(cell, rng, name):
    arguments, options, reference = TWINS[name]
    arguments = [place(cell, argument) for argument in arguments]
    x = cell.tensor(values(rng))
    before, memory = to_numpy(x), x.data_ptr()

    twin = getattr(x, name)(*arguments, **options)
    assert twin.data_ptr() != memory, f"{name} returned a tensor in the memory of its operand"
    assert x._version == 0, f"{name} counted a new version of its operand"
    assert_same(x, cell.tensor(before), what=f"the operand of {name}")

    returned = getattr(x, name + "_")(*arguments, **options)
    assert returned is x, f"{name}_ returned another object"
    assert x.data_ptr() == memory, f"{name}_ moved its operand to other memory"
    assert x._version == 1, f"{name}_ counted {x._version} versions"
    assert_same(x, twin.to(x.dtype), what=f"{name}_ beside {name}")
    expected = np.asarray(reference(before), dtype=np.float64)
    bound = roundings(cell, 16, np.abs(expected) + np.abs(before) + 20)
    assert_within(x, expected, bound, what=f"{name}_", because="16 roundings of terms that are below 20")


SHAPERS = {
    "transpose": (0, 1),
    "swapaxes": (0, 1),
    "t": (),
    "unsqueeze": (1,),
    "squeeze": (),
}


@claim("inplace-underscore-suffix")
@pytest.mark.parametrize("name", SHAPERS)
def test_shape_in_place(cell, rng, name):
    x = cell.tensor(values(rng)[:, :1] if name == "squeeze" else values(rng))
    memory = x.data_ptr()
    expected = getattr(np, {"t": "transpose", "transpose": "swapaxes", "unsqueeze": "expand_dims"}.get(name, name))(
        to_numpy(x), *SHAPERS[name]
    )
    assert getattr(x, name + "_")(*SHAPERS[name]) is x
    assert x.data_ptr() == memory
    assert x._version == 1, f"{name}_ counted {x._version} versions"
    assert_same(x, cell.tensor(expected), what=f"{name}_")


FILLERS = {
    "fill_": ((2.5,), np.full((2, 3), 2.5)),
    "zero_": ((), np.zeros((2, 3))),
    "copy_": ((OTHER,), OTHER),
    "fill_diagonal_": ((4.0,), None),
}


@claim("inplace-keeps-memory")
@pytest.mark.parametrize("name", FILLERS)
def test_operation_without_twin(cell, rng, name):
    arguments, expected = FILLERS[name]
    x = cell.tensor(values(rng))
    memory = x.data_ptr()
    if expected is None:
        expected = to_numpy(x)
        np.fill_diagonal(expected, 4.0)
    returned = getattr(x, name)(*[place(cell, argument) for argument in arguments])
    assert returned is x
    assert x.data_ptr() == memory
    assert x._version == 1
    assert_same(x, cell.tensor(expected), what=name)


@claim("inplace-keeps-memory")
def test_every_reader_of_the_memory_sees_the_new_value(cell):
    x = cell.tensor([1.0, 2.0, 3.0, 4.0])
    alias, view, stepped, copy = x, x[1:], x[::2], x.clone()
    x.mul_(2)
    assert alias is x
    assert_same(view, cell.tensor([4.0, 6.0, 8.0]), what="a view of x")
    assert_same(stepped, cell.tensor([2.0, 6.0]), what="a view of every other element of x")
    assert_same(copy, cell.tensor([1.0, 2.0, 3.0, 4.0]), what="a copy made before")


@claim("inplace-scatter-underscore")
@pytest.mark.parametrize("source", ["tensor", "number"])
def test_scatter(cell, rng, source):
    x = cell.tensor(values(rng))
    before, memory = to_numpy(x), x.data_ptr()
    index = np.array([[2, 0]])
    src = place(cell, rng.normal(size=(1, 2)) if source == "tensor" else 5.0)
    expected = before.copy()
    expected[0, index[0]] = to_numpy(src)[0] if source == "tensor" else src
    arguments = (1, place(cell, index), src)

    scattered = x.scatter(*arguments)
    assert scattered is not x
    assert scattered.data_ptr() != memory
    assert x._version == 0
    assert_same(x, cell.tensor(before), what="x after scatter")
    assert_same(scattered, cell.tensor(expected), what="scatter")

    assert x.scatter_(*arguments) is x
    assert x.data_ptr() == memory
    assert x._version == 1
    assert_same(x, cell.tensor(expected), what="x after scatter_")


NUMBERS, BITS = ([6.0, -5.0, 4.5], [2.0, 4.0, -3.0]), ([6, 5, 12], [3, 1, 2])
AUGMENTED = {
    "+=": (operator.iadd, NUMBERS, np.add),
    "-=": (operator.isub, NUMBERS, np.subtract),
    "*=": (operator.imul, NUMBERS, np.multiply),
    "/=": (operator.itruediv, NUMBERS, np.divide),
    "//=": (operator.ifloordiv, NUMBERS, np.floor_divide),
    "%=": (operator.imod, NUMBERS, np.mod),
    "**=": (operator.ipow, BITS, np.power),
    "&=": (operator.iand, BITS, np.bitwise_and),
    "|=": (operator.ior, BITS, np.bitwise_or),
    "^=": (operator.ixor, BITS, np.bitwise_xor),
    "<<=": (operator.ilshift, BITS, np.left_shift),
    ">>=": (operator.irshift, BITS, np.right_shift),
}


@claim("inplace-augmented-assignment")
@pytest.mark.parametrize("sign", AUGMENTED)
def test_augmented_assignment(cell, sign):
    assign, (left, right), reference = AUGMENTED[sign]
    kind = torch.int64 if reference(left, right).dtype.kind == "i" else cell.dtype
    x, y = cell.tensor(left, dtype=kind), cell.tensor(right, dtype=kind)
    memory = x.data_ptr()
    assert assign(x, y) is x, f"x {sign} y bound x to another object"
    assert x.data_ptr() == memory
    assert x._version == 1
    assert y._version == 0
    expected = reference(to_numpy(cell.tensor(left, dtype=kind)), to_numpy(y))
    if kind == torch.int64:
        assert_same(x, cell.tensor(expected, dtype=kind), what=f"x {sign} y")
    else:
        assert_within(x, expected, roundings(cell, 1, expected), what=f"x {sign} y", because="one operation")


@claim("inplace-augmented-assignment")
def test_sum_and_matrix_product_bind_the_name_anew(cell):
    x = old = cell.tensor([[1.0, 2.0], [3.0, 4.0]])
    x = x + x
    assert x is not old
    assert_same(old, cell.tensor([[1.0, 2.0], [3.0, 4.0]]), what="the operand of x + x")
    assert_same(x, cell.tensor([[2.0, 4.0], [6.0, 8.0]]), what="x + x")
    x = old
    x @= cell.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert x is not old
    assert old._version == 0
    assert_same(x, cell.tensor([[2.0, 1.0], [4.0, 3.0]]), what="x @= a permutation")


def set_element(x):
    x[0] = 7.0


def set_slice(x):
    x[1:] = x.new_tensor([5.0, 4.0])


def set_where(x):
    x[x < 0] = 0.0


def set_by_index(x):
    x[[2, 0]] = x.new_tensor([8.0, 9.0])


def increment_slice(x):
    x[:2] += 1


# Ways to write into [-1, 2, -3] that have no underscore in their name, and what is there afterwards.
WITHOUT_UNDERSCORE = {
    "x[0] =": (set_element, [7.0, 2.0, -3.0]),
    "x[1:] =": (set_slice, [-1.0, 5.0, 4.0]),
    "x[x < 0] =": (set_where, [0.0, 2.0, 0.0]),
    "x[[2, 0]] =": (set_by_index, [9.0, 2.0, 8.0]),
    "x[:2] +=": (increment_slice, [0.0, 3.0, -3.0]),
    "out=": (lambda x: torch.add(x, 1, out=x), [0.0, 3.0, -2.0]),
    "out= of abs": (lambda x: torch.abs(x, out=x), [1.0, 2.0, 3.0]),
    "F.relu(inplace=True)": (lambda x: F.relu(x, inplace=True), [0.0, 2.0, 0.0]),
    "nn.ReLU(inplace=True)": (lambda x: nn.ReLU(inplace=True)(x), [0.0, 2.0, 0.0]),
    "nn.Hardtanh(inplace=True)": (lambda x: nn.Hardtanh(-2.0, 1.0, inplace=True)(x), [-1.0, 1.0, -2.0]),
    "nn.Threshold(inplace=True)": (lambda x: nn.Threshold(0.0, 6.0, inplace=True)(x), [6.0, 2.0, 6.0]),
    "nn.Dropout(inplace=True)": (lambda x: nn.Dropout(1.0, inplace=True)(x), [0.0, 0.0, 0.0]),
}


@claim("inplace-without-underscore")
@pytest.mark.parametrize("way", WITHOUT_UNDERSCORE)
def test_in_place_without_underscore(cell, way):
    write, expected = WITHOUT_UNDERSCORE[way]
    x = cell.tensor([-1.0, 2.0, -3.0])
    memory = x.data_ptr()
    write(x)
    assert x.data_ptr() == memory
    assert x._version >= 1, f"{way} counted no version"
    assert_same(x + 0, cell.tensor(expected), what=way)


FIRST, SECOND, TOTAL = [0.3486, 0.2924], [0.6301, 0.0101], [0.9788, 0.3026]
# Three numbers were printed to four digits: half a unit of the last one each.
PRINTED = 1.5e-4


@claim("inplace-transcript-add")
def test_printed_add(cell):
    x, y = cell.tensor(FIRST), cell.tensor(SECOND)
    total = x.add(y)
    assert_within(total, TOTAL, PRINTED, what="x.add(y)", because="printed to four digits")
    assert total is not x
    assert_same(x, cell.tensor(FIRST), what="x afterwards")
    assert_same(y, cell.tensor(SECOND), what="y afterwards")


@claim("inplace-transcript-add-in-place")
def test_printed_add_in_place(cell):
    x, y = cell.tensor(FIRST), cell.tensor(SECOND)
    out_of_place = x.add(y)
    total = x.add_(y)
    assert total is x
    assert_within(x, TOTAL, PRINTED, what="x afterwards", because="printed to four digits")
    assert_same(x, out_of_place, what="x afterwards")
    assert_same(y, cell.tensor(SECOND), what="y afterwards")


@claim("inplace-transcript-rand")
def test_rand_repeats_itself_only_when_seeded(cell):
    # 64 numbers in [0, 1): two draws agree by chance with a probability below 2 ** -1000.
    draws = [torch.rand(64, device=cell.device.name, dtype=cell.dtype) for _ in range(3)]
    assert not torch.equal(draws[0], draws[1]), "the second draw repeats the first"
    assert not torch.equal(draws[1], draws[2]), "the third draw repeats the second"
    seeded = []
    for _ in range(2):
        torch.manual_seed(20220323)
        seeded.append([torch.rand(64, device=cell.device.name, dtype=cell.dtype) for _ in range(2)])
    assert_same(seeded[1][0], seeded[0][0], what="the first draw after the same seed")
    assert_same(seeded[1][1], seeded[0][1], what="the second draw after the same seed")
    assert not torch.equal(seeded[0][0], seeded[0][1]), "the second draw after a seed repeats the first"


def write_out(x):
    torch.add(x, 1, out=x)


# How many versions each counts, of a tensor of two by three.
VERSIONS = {
    "add_": (lambda x: x.add_(1), 1),
    "add_ of a number that changes nothing": (lambda x: x.add_(0), 1),
    "copy_ of itself": (lambda x: x.copy_(x), 1),
    "add_ to no element": (lambda x: x[:0].add_(1), 1),
    "add_ twice": (lambda x: x.add_(1).add_(1), 2),
    "a chain of four": (lambda x: x.mul_(2).exp_().clamp_(0, 1).zero_(), 4),
    "normal_": (lambda x: x.normal_(), 1),
    "masked_fill_": (lambda x: x.masked_fill_(x > 0, 7.0), 1),
    "copy_": (lambda x: x.copy_(x + 1), 1),
    "t_": (lambda x: x.t_(), 1),
    "set_": (lambda x: x.set_(x.clone()), 1),
    "setitem": (lambda x: operator.setitem(x, 0, 7.0), 1),
    "setitem by mask": (lambda x: operator.setitem(x, x > 0, 7.0), 1),
    "setitem by index": (lambda x: operator.setitem(x, [1, 0], 7.0), 1),
    "out=": (write_out, 1),
    "F.relu(inplace=True)": (lambda x: F.relu(x, inplace=True), 1),
    "through each row": (lambda x: [row.add_(1) for row in x], 2),
    "reading": (lambda x: (x.sum(), x[0], x.tolist(), x + x, x.clone()), 0),
    "requires_grad_": (lambda x: x.requires_grad_(), 0),
    "contiguous": (lambda x: x.contiguous(), 0),
}


@claim("inplace-version-counter")
@pytest.mark.parametrize("grad_mode", [True, False], ids=["grad mode", "no grad"])
@pytest.mark.parametrize("way", VERSIONS)
def test_versions_counted(cell, rng, way, grad_mode):
    write, counted = VERSIONS[way]
    x = cell.tensor(values(rng))
    assert x._version == 0
    with torch.set_grad_enabled(grad_mode):
        write(x)
    assert x._version == counted


# Tensors that share the memory of x: which of them also share its count of versions.
SHARERS = {
    "view": lambda x: x.view(6),
    "row": lambda x: x[1],
    "transposed": lambda x: x.t(),
    "expanded": lambda x: x.unsqueeze(0).expand(4, 2, 3),
    "view of a view": lambda x: x.view(3, 2)[:, 1].unsqueeze(1),
    "detached": lambda x: x.detach(),
    "detached view": lambda x: x[0].detach(),
}


@claim("inplace-views-share-version")
@pytest.mark.parametrize("how", SHARERS)
def test_one_count_for_all_views(cell, rng, how):
    x = cell.tensor(values(rng))
    x.add_(1)
    sharer = SHARERS[how](x)
    assert sharer is not x
    assert sharer._version == 1
    x.mul_(2)
    assert sharer._version == 2
    sharer.detach()[:1].add_(1) if how != "expanded" else sharer[0].add_(1)
    assert (sharer._version, x._version) == (3, 3)


@claim("inplace-views-share-version")
@pytest.mark.parametrize("how", ["clone", "data"])
def test_count_of_its_own(cell, rng, how):
    x = cell.tensor(values(rng))
    x.add_(1)
    other = x.clone() if how == "clone" else x.data
    assert other._version == 0
    other.mul_(2)
    assert (other._version, x._version) == (1, 1)
