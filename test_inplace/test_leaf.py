"""Leaf tensors that require grad: what is refused, that the refusal changes nothing, and what is allowed."""

import operator

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from torchclaims import claim
from torchclaims.tolerance import assert_same, assert_within, roundings

START = [1.0, -2.0, 3.0]

WRITES = {
    "add_": lambda x: x.add_(1),
    "mul_": lambda x: x.mul_(2),
    "zero_": lambda x: x.zero_(),
    "fill_": lambda x: x.fill_(2),
    "copy_": lambda x: x.copy_(torch.zeros_like(x)),
    "clamp_": lambda x: x.clamp_(0, 1),
    "relu_": lambda x: x.relu_(),
    "normal_": lambda x: x.normal_(),
    "masked_fill_": lambda x: x.masked_fill_(x.detach() > 0, 0.0),
    "+=": lambda x: operator.iadd(x, 1),
    "F.relu(inplace=True)": lambda x: F.relu(x, inplace=True),
    "nn.ReLU(inplace=True)": lambda x: nn.ReLU(inplace=True)(x),
    "unsqueeze_": lambda x: x.unsqueeze_(0),
}

VIEW_WRITES = {
    "x[0] =": lambda x: operator.setitem(x, 0, 7.0),
    "x[1:].mul_": lambda x: x[1:].mul_(2),
    "x.view(3, 1).add_": lambda x: x.view(3, 1).add_(1),
    "x.unsqueeze(0).zero_": lambda x: x.unsqueeze(0).zero_(),
    "a view of a view": lambda x: x[:2][1:].fill_(5),
}


def assert_untouched(leaf, cell):
    assert_same(leaf.detach(), cell.tensor(START), what="the leaf after the refusal")
    assert leaf._version == 0, "the refused operation counted a version"
    assert leaf.is_leaf
    assert leaf.requires_grad
    assert leaf.grad_fn is None
    assert leaf.grad is None


@claim("inplace-leaf-refused")
@pytest.mark.parametrize("way", WRITES)
def test_leaf_refused(cell, way):
    leaf = cell.tensor(START, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"(?<!view of )a leaf Variable that requires grad .*in-place"):
        WRITES[way](leaf)
    assert_untouched(leaf, cell)


@claim("inplace-leaf-refused")
def test_parameter_refused(cell):
    parameter = nn.Parameter(cell.tensor(START))
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        parameter.add_(1)
    assert_untouched(parameter, cell)


@claim("inplace-leaf-refused")
def test_leaf_as_out_refused(cell):
    leaf = cell.tensor(START, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"out=.*automatic differentiation"):
        torch.add(cell.tensor(START), 1, out=leaf)
    assert_untouched(leaf, cell)


@claim("inplace-leaf-view-refused")
@pytest.mark.parametrize("way", VIEW_WRITES)
def test_view_of_leaf_refused(cell, way):
    leaf = cell.tensor(START, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"a view of a leaf Variable that requires grad .*in-place"):
        VIEW_WRITES[way](leaf)
    assert_untouched(leaf, cell)


@claim("inplace-leaf-allowed-without-grad-mode")
@pytest.mark.parametrize("way", [way for way in {**WRITES, **VIEW_WRITES} if way != "unsqueeze_"])
def test_leaf_written_without_grad_mode(cell, way):
    write = {**WRITES, **VIEW_WRITES}[way]
    leaf, plain = cell.tensor(START, requires_grad=True), cell.tensor(START)
    memory = leaf.data_ptr()
    seed = 7
    torch.manual_seed(seed)
    write(plain)
    torch.manual_seed(seed)
    with torch.no_grad():
        write(leaf)
    assert_same(leaf.detach(), plain, what="the leaf beside a tensor that does not require grad")
    assert leaf.data_ptr() == memory
    assert leaf._version == 1
    assert leaf.is_leaf
    assert leaf.requires_grad
    assert leaf.grad_fn is None
    (leaf * leaf).sum().backward()
    assert_same(leaf.grad, 2 * plain, what="the gradient of the sum of squares, at the new value")


@claim("inplace-leaf-escapes")
@pytest.mark.parametrize(("way", "versions"), [("data", 0), ("detach", 1)])
def test_leaf_written_through_another_tensor(cell, way, versions):
    leaf = cell.tensor(START, requires_grad=True)
    other = leaf.data if way == "data" else leaf.detach()
    assert not other.requires_grad
    assert other.data_ptr() == leaf.data_ptr()
    other.mul_(2)
    assert_same(leaf.detach(), cell.tensor(START) * 2, what="the leaf")
    assert leaf._version == versions
    assert leaf.is_leaf
    assert leaf.requires_grad
    assert leaf.grad_fn is None


@claim("inplace-leaf-constant-allowed")
@pytest.mark.parametrize("way", [way for way in WRITES if way != "unsqueeze_"])
def test_leaf_that_does_not_require_grad(cell, way):
    leaf = cell.tensor(START)
    WRITES[way](leaf)
    assert leaf._version == 1
    assert leaf.is_leaf
    assert not leaf.requires_grad
    assert leaf.grad_fn is None


@claim("inplace-leaf-constant-allowed")
@pytest.mark.parametrize(
    ("operation", "gradient"),
    [("mul_", START), ("add_", [1.0, 1.0, 1.0]), ("sub_", [-1.0, -1.0, -1.0]), ("copy_", [1.0, 1.0, 1.0])],
    ids=["mul_", "add_", "sub_", "copy_"],
)
def test_constant_becomes_part_of_the_graph(cell, operation, gradient):
    constant = cell.tensor(START)
    weight = cell.tensor([2.0, 3.0, -5.0], requires_grad=True)
    getattr(constant, operation)(weight)
    assert constant.requires_grad
    assert not constant.is_leaf
    constant.sum().backward()
    assert_same(weight.grad, cell.tensor(gradient), what="the gradient of weight")
    assert constant.grad_fn is not None


@claim("inplace-non-leaf-allowed")
def test_gradient_through_a_chain_of_writes(cell, rng):
    leaf = cell.tensor(rng.uniform(0.5, 1.5, 4), requires_grad=True)
    cotangent = cell.tensor(rng.normal(size=4))
    x = leaf.clone()
    before, memory = x.grad_fn, x.data_ptr()
    x.mul_(3).add_(2).neg_()
    assert x.data_ptr() == memory
    assert x.grad_fn is not before
    assert not x.is_leaf
    assert x.requires_grad
    x.exp_()
    x *= 2
    assert x._version == 5
    # x = 2 exp(-(3 a + 2)); exp_ saved its result, which the last write changed: undone, it may not be.
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        x.backward(cotangent)
    assert leaf.grad is None

    x = leaf.clone().mul_(3).add_(2).neg_().exp_()
    x.backward(cotangent)
    values = leaf.detach().cpu().double().numpy()
    expected = -3 * np.exp(-(3 * values + 2)) * cotangent.cpu().double().numpy()
    # The exponent, below 7, takes three roundings, which the exponential turns into relative errors.
    bound = roundings(cell, 30, expected)
    assert_within(leaf.grad, expected, bound, what="leaf.grad", because="3 roundings of an exponent below 7")


@claim("inplace-non-leaf-allowed")
def test_part_overwritten_has_no_gradient(cell):
    leaf = cell.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    x = leaf * 5
    x[1:3] = 0.0
    x[3] *= 2
    x.sum().backward()
    assert_same(x.detach(), cell.tensor([5.0, 0.0, 0.0, 40.0]), what="x")
    assert_same(leaf.grad, cell.tensor([5.0, 0.0, 0.0, 10.0]), what="leaf.grad")


@claim("inplace-non-leaf-allowed")
def test_leaf_turned_non_leaf_by_zero(cell):
    leaf = cell.tensor(START, requires_grad=True)
    x = leaf * 2
    x.zero_()
    assert x.requires_grad
    assert not x.is_leaf
    x.sum().backward()
    assert_same(leaf.grad, cell.tensor([0.0, 0.0, 0.0]), what="the gradient of what was zeroed")
