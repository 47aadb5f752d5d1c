"""Unflatten, what flattening refuses, and which operations share memory."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.tolerance import assert_same


@claim("flatten-refused")
@pytest.mark.parametrize(
    ("arguments", "shape", "error", "message"),
    [
        ((2, 1), (2, 3, 4), RuntimeError, "start_dim cannot come after end_dim"),
        ((-1, -2), (2, 3, 4), RuntimeError, "start_dim cannot come after end_dim"),
        ((1, 5), (2, 3), IndexError, "Dimension out of range"),
        ((), (3,), IndexError, "Dimension out of range"),
    ],
    ids=["after", "after, from behind", "beyond", "too few"],
)
def test_flatten_refused(arguments, shape, error, message):
    with pytest.raises(error, match=message):
        nn.Flatten(*arguments)(torch.ones(shape))


@claim("flatten-defaults")
def test_flatten_defaults():
    assert repr(nn.Flatten()) == "Flatten(start_dim=1, end_dim=-1)"
    assert repr(nn.Flatten(0, 2)) == "Flatten(start_dim=0, end_dim=2)"
    x = torch.ones(32, 1, 5, 5)
    assert tuple(nn.Flatten()(x).shape) == (32, 25)
    assert tuple(nn.Flatten(0, 2)(x).shape) == (160, 5)
    assert tuple(nn.Flatten(0)(torch.tensor(3.0)).shape) == (1,)
    assert nn.Flatten()(x).data_ptr() == x.data_ptr()


SPLIT = {
    "two": (1, (2, 5), (3, 10), (3, 2, 5)),
    "three": (1, (2, 5, 5), (2, 50), (2, 2, 5, 5)),
    "a list": (0, [2, 3], (6, 4), (2, 3, 4)),
    "a size": (-1, torch.Size([2, 3]), (4, 6), (4, 2, 3)),
    "from behind": (-2, (3, 2), (2, 6, 5), (2, 3, 2, 5)),
    "one": (1, (6,), (2, 6), (2, 6)),
    "the rest": (1, (2, -1), (2, 6), (2, 2, 3)),
}


@claim("unflatten-formula")
@pytest.mark.parametrize(("dim", "sizes", "shape", "expected"), SPLIT.values(), ids=SPLIT)
def test_unflatten(cell, dim, sizes, shape, expected):
    values = np.arange(float(np.prod(shape))).reshape(shape)
    x = cell.tensor(values, requires_grad=True)
    layer = nn.Unflatten(dim, sizes)
    assert repr(layer) == f"Unflatten(dim={dim}, unflattened_size={sizes})"
    out = cell.run(layer)(x)
    assert_same(out, cell.tensor(values.reshape(expected)), what="unflattened")
    out.backward(cell.tensor(values.reshape(expected)))
    assert_same(x.grad, cell.tensor(values), what="gradient")


@claim("unflatten-refused")
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((2.0, 2), "must be tuple of ints, but found element of type float at pos 0"),
        ([2, "2"], "must be tuple of ints, but found element of type str at pos 1"),
        (4, "must be a tuple of ints, but found type int"),
    ],
    ids=["float", "text", "a number"],
)
def test_unflatten_sizes_refused(sizes, message):
    with pytest.raises(TypeError, match=message):
        nn.Unflatten(1, sizes)


@claim("unflatten-refused")
def test_unflatten_input_refused():
    with pytest.raises(RuntimeError, match=r"don't multiply up to the size of dim 1 \(5\)"):
        nn.Unflatten(1, (2, 2))(torch.ones(2, 5))
    with pytest.raises(IndexError, match="Dimension out of range"):
        nn.Unflatten(3, (2,))(torch.ones(2, 6))


SHARED = {
    "slice": lambda x: x[:, 1:],
    "row": lambda x: x[0],
    "transpose": lambda x: x.t(),
    "view": lambda x: x.view(-1),
    "detach": lambda x: x.detach(),
    "expand": lambda x: x[:1].expand(4, 3),
    "unsqueeze": lambda x: x[None],
    "chunk": lambda x: x.chunk(2)[0],
}
COPIED = {
    "list": lambda x: x[[0, 1]],
    "mask": lambda x: x[x == x],
    "clone": lambda x: x.clone(),
    "contiguous of a transpose": lambda x: x.t().contiguous(),
    "index_select": lambda x: x.index_select(0, torch.tensor([0, 1], device=x.device)),
}


@claim("view-aliasing")
@pytest.mark.parametrize("make", SHARED.values(), ids=SHARED)
def test_shared(cell, make):
    x = cell.tensor(np.ones((2, 3)))
    view = make(x)
    assert view.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    x.fill_(2)
    assert bool((view == 2).all())


@claim("view-aliasing")
@pytest.mark.parametrize("make", COPIED.values(), ids=COPIED)
def test_copied(cell, make):
    x = cell.tensor(np.ones((2, 3)))
    copy = make(x)
    x.fill_(2)
    assert bool((copy == 1).all())


@claim("view-aliasing")
def test_contiguous_is_itself(cell):
    x = cell.tensor(np.ones((2, 3)))
    assert x.contiguous() is x
    assert x.t().contiguous() is not x
