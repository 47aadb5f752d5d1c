"""requires_grad and is_leaf: who has them, who may set them, and what they make autograd record."""

import functools
import itertools

import pytest
import torch
from torch import nn

from torchclaims import claim


@claim("requires-grad-default")
def test_default(cell):
    for made in (
        torch.zeros(1),
        torch.tensor([1.0]),
        torch.rand(2),
        cell.tensor([1.0]),
        nn.BatchNorm1d(2).running_mean,
    ):
        assert made.requires_grad is False
    assert nn.Parameter(cell.tensor([1.0])).requires_grad is True
    assert nn.Parameter(cell.tensor([1.0]), requires_grad=False).requires_grad is False
    assert all(parameter.requires_grad for parameter in nn.Linear(2, 2).parameters())


@claim("requires-grad-default")
@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.uint8, torch.bool])
def test_whole_numbers_refused(dtype):
    refusal = pytest.raises(RuntimeError, match="nly Tensors of floating point")
    x = torch.zeros(2, dtype=dtype)
    with refusal:
        x.requires_grad_()
    with refusal:
        x.requires_grad = True
    with refusal:
        torch.zeros(2, dtype=dtype, requires_grad=True)
    with refusal:
        nn.Parameter(x)
    assert not x.requires_grad


@claim("requires-grad-default")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64])
def test_numbers_with_fractions_allowed(dtype):
    x = torch.zeros(2, dtype=dtype)
    assert x.requires_grad_() is x
    assert x.requires_grad
    assert x.requires_grad_(False) is x
    assert not x.requires_grad


@claim("requires-grad-recording")
def test_recorded_by_any_input(cell):
    for flags in itertools.product([False, True], repeat=3):
        inputs = [cell.tensor([2.0], requires_grad=flag) for flag in flags]
        y = torch.addcmul(*inputs)
        assert y.requires_grad == any(flags)
        assert (y.grad_fn is not None) == any(flags)
        if any(flags):
            y.backward()
        assert [x.grad is not None for x in inputs] == list(flags)


@claim("requires-grad-non-leaf")
@pytest.mark.parametrize("way", ["attribute", "method"])
def test_flag_of_a_non_leaf(cell, way):
    x = cell.tensor([2.0], requires_grad=True)
    y = x * 3
    freeze = y.requires_grad_ if way == "method" else functools.partial(setattr, y, "requires_grad")
    with pytest.raises(RuntimeError, match="can only change requires_grad flags of leaf"):
        freeze(False)
    assert y.requires_grad
    assert y.requires_grad_() is y
    detached = y.detach()
    assert (detached.requires_grad, detached.is_leaf, detached.grad_fn) == (False, True, None)
    assert detached.data_ptr() == y.data_ptr()
    y.backward()
    assert x.grad.item() == 3


LEAVES = {
    "made": (lambda x: x, True),
    "detached": (lambda x: x.detach(), True),
    "detached, asked again": (lambda x: x.detach().requires_grad_(), True),
    "cast to its own dtype": (lambda x: x.to(x.dtype), True),
    "contiguous already": (lambda x: x.contiguous(), True),
    "Parameter of a result": (lambda x: nn.Parameter(x * 2), True),
    "result": (lambda x: x * 2, False),
    "cast": (lambda x: x.to(torch.float16), False),
    "copied": (lambda x: x.to(x.dtype, copy=True), False),
    "cloned": (lambda x: x.clone(), False),
    "view": (lambda x: x[:1], False),
    "cast of a constant": (lambda x: x.detach().to(torch.float16), True),
    "compared": (lambda x: x > 0, True),
    "index of the largest": (lambda x: x.argmax(), True),
}


@claim("leaf-tensors")
@pytest.mark.parametrize("name", LEAVES)
def test_leaf(cell, name):
    make, leaf = LEAVES[name]
    y = make(cell.tensor([1.0, 2.0], requires_grad=True))
    assert y.is_leaf == leaf
    assert (y.grad_fn is None) == leaf
    assert y.requires_grad or leaf
