"""Which shapes broadcast, to what, with which values and memory."""

import itertools
import re

import numpy as np
import pytest
import torch

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, roundings, sum_bound

SHAPES = [
    (),
    (1,),
    (3,),
    (0,),
    (4, 1),
    (1, 3),
    (4, 3),
    (2, 1, 3),
    (1, 1, 1),
    (5, 1, 4, 1),
    (3, 1, 1),
    (0, 1),
    (2, 4, 1),
]


def broadcast(left, right):
    """The broadcast shape, or None, by the rule of the notes."""
    length = max(len(left), len(right))
    pairs = zip((1,) * (length - len(left)) + left, (1,) * (length - len(right)) + right, strict=True)
    sizes = [a if b == 1 else b if a == 1 or a == b else None for a, b in pairs]
    return None if None in sizes else tuple(sizes)


PAIRS = list(itertools.product(SHAPES, repeat=2))
FITTING = [pair for pair in PAIRS if broadcast(*pair) is not None]
# Of two unlike shapes one order: each shape is left of some and right of others.
WITH_VALUES = [
    (left, right)
    for left, right in FITTING
    if np.prod(broadcast(left, right)) > 0
    and (left == right or (SHAPES.index(left) + SHAPES.index(right)) % 2 == (SHAPES.index(left) < SHAPES.index(right)))
]
UNFIT = [pair for pair in PAIRS if broadcast(*pair) is None]


@claim("bcast-result-shape")
@pytest.mark.parametrize("left", SHAPES, ids=str)
def test_shape(cell, left):
    for right in SHAPES:
        expected = broadcast(left, right)
        if expected is None:
            continue
        x, y = cell.tensor(np.ones(left)), cell.tensor(np.ones(right))
        for name in ("add", "maximum", "eq", "pow"):
            assert getattr(torch, name)(x, y).shape == expected, f"{name} of {left} and {right}"
        assert torch.broadcast_shapes(left, right) == expected
        assert [one.shape for one in torch.broadcast_tensors(x, y)] == [expected] * 2
        assert torch.where(x > 0, x, y).shape == expected


@claim("bcast-result-shape")
def test_shape_of_several():
    assert torch.broadcast_shapes((2,), (3, 1), (1, 1, 1)) == (1, 3, 2)
    assert torch.broadcast_shapes((4, 1), (), (5, 1, 1), (3,)) == (5, 4, 3)
    assert torch.broadcast_shapes((2, 3)) == (2, 3)
    assert isinstance(torch.broadcast_shapes((1,), (2,)), torch.Size)


@claim("bcast-refused")
@pytest.mark.parametrize(("left", "right"), UNFIT, ids=str)
def test_refused(cell, left, right):
    x, y = cell.tensor(np.ones(left)), cell.tensor(np.ones(right))
    message = (
        r"The size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\) at non-singleton dimension (\d+)"
    )
    with pytest.raises(RuntimeError, match=message) as raised:
        x + y
    a, b, dimension = (int(number) for number in re.search(message, str(raised.value)).groups())
    length = max(len(left), len(right))
    sizes = [((1,) * (length - len(one)) + one)[dimension] for one in (left, right)]
    assert sizes == [a, b]
    for refuse in (lambda: torch.broadcast_shapes(left, right), lambda: torch.broadcast_tensors(x, y)):
        with pytest.raises(RuntimeError):
            refuse()


@claim("bcast-values")
@pytest.mark.parametrize(("left", "right"), WITH_VALUES, ids=str)
def test_values_and_gradients(cell, rng, left, right):
    x, y = cell.tensor(rng.normal(size=left)).requires_grad_(), cell.tensor(rng.normal(size=right)).requires_grad_()
    shape = broadcast(left, right)
    a, b = np.broadcast_to(to_numpy(x), shape), np.broadcast_to(to_numpy(y), shape)
    upstream = cell.tensor(rng.normal(size=shape))
    z = cell.run(lambda x, y: x * y)(x, y)
    assert_within(z, a * b, roundings(cell, 1, a * b), what="product", because="one product")
    z.backward(upstream)
    for leaf, factor in ((x, b), (y, a)):
        terms = to_numpy(upstream) * factor
        kept = tuple(leaf.shape)
        lead = len(shape) - len(kept)
        axes = tuple(range(lead)) + tuple(lead + i for i, size in enumerate(kept) if size == 1)
        expected, size = (np.reshape(one.sum(axes), kept) for one in (terms, np.abs(terms)))
        count = max(1, terms.size // max(1, expected.size))
        bound = sum_bound(cell, count, size, expected) + roundings(cell, 1, size)
        assert_within(leaf.grad, expected, bound, what="gradient", because=f"a sum of {count} products")


@claim("bcast-no-copy")
@pytest.mark.parametrize("how", ["first", "second", "last", "broadcast_to", "expand", "expand -1"])
def test_memory(cell, how):
    x = cell.tensor([[1.0, 2.0, 3.0]])
    larger = cell.tensor(np.zeros((2, 4, 1)))
    grown = {
        "first": lambda: torch.broadcast_tensors(x, larger)[0],
        "second": lambda: torch.broadcast_tensors(larger, x, larger)[1],
        "last": lambda: torch.broadcast_tensors(larger, larger, x)[2],
        "broadcast_to": lambda: torch.broadcast_to(x, (2, 4, 3)),
        "expand": lambda: x.expand(2, 4, 3),
        "expand -1": lambda: x.expand(2, 4, -1),
    }[how]()
    assert grown.shape == (2, 4, 3)
    assert grown.stride()[1:] == (0, 1)
    assert grown.data_ptr() == x.data_ptr()
    assert grown.untyped_storage().nbytes() == 3 * x.element_size()
    x.mul_(2)
    assert (grown == cell.tensor([2.0, 4.0, 6.0])).all()


IN_PLACE = {
    "add_": lambda x, y: x.add_(y),
    "mul_": lambda x, y: x.mul_(y),
    "copy_": lambda x, y: x.copy_(y),
    "masked_fill_": lambda x, y: x.masked_fill_(y > 0, 3.0),
    "+=": lambda x, y: x.__iadd__(y),
}


@claim("bcast-in-place")
@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(cell, rng, name):
    values, other = rng.normal(size=(5, 3, 4, 1)), rng.normal(size=(3, 1, 1))
    x, y = cell.tensor(values), cell.tensor(other)
    repeated = cell.tensor(np.broadcast_to(other, values.shape))
    expected = IN_PLACE[name](x.clone(), repeated)
    assert IN_PLACE[name](x, y) is x
    assert_same(x, expected, what=f"{name} beside that of a repeated operand")


@claim("bcast-in-place")
@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("shapes", [((1, 3, 1), (3, 1, 7)), ((3,), (2, 3)), ((), (1, 2)), ((1,), (0,))], ids=str)
def test_never_larger(cell, name, shapes):
    x, y = (cell.tensor(np.full(shape, 2.0)) for shape in shapes)
    with pytest.raises(RuntimeError):
        IN_PLACE[name](x, y)
    assert_same(x, cell.tensor(np.full(shapes[0], 2.0)), what="the operand")
    assert x._version == 0


@claim("bcast-in-place-message")
def test_message(cell):
    x, y = cell.tensor(np.ones((1, 3, 1))), cell.tensor(np.ones((3, 1, 7)))
    message = ""
    try:
        x.add_(y)
    except RuntimeError as error:
        message = str(error)
    assert "The expanded size of the tensor (1) must match the existing size (7)" in message, message


@claim("bcast-warning")
def test_warning(cell, recwarn):
    switch = torch.utils.backcompat.broadcast_warning
    assert switch.enabled is False
    try:
        switch.enabled = True
        assert switch.enabled is True
        assert torch.add(cell.tensor(np.ones((4, 1))), cell.tensor(np.ones(4))).shape == (4, 4)
    finally:
        switch.enabled = False
    assert [str(one.message) for one in recwarn if "broadcastable" in str(one.message)], "there was no warning"


@claim("bcast-one-dimensional")
def test_one_dimensional(cell, recwarn):
    x, y = cell.tensor(np.ones((2, 3))), cell.tensor(np.ones((3, 2)))
    message = ""
    try:
        x.add_(y)
    except RuntimeError as error:
        message = str(error)
    assert not message, message
    assert len(recwarn) == 1
    assert (x == 2).all()
