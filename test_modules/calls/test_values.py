"""What the hand-written layer and perceptron compute, and their gradients by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from models.perceptron import Linear, Perceptron
from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import (
    accumulation_unit,
    assert_within,
    gamma,
    rounding_unit,
    roundings,
)

# Rows, in_features, out_features; with as many rows as columns a bias could be added along either.
SHAPES = pytest.mark.parametrize(
    ("rows", "inputs", "outputs"), [(2, 4, 3), (3, 4, 3), (1, 2, 5)], ids=["2x4x3", "3x4x3", "1x2x5"]
)


def product(cell, left, right):
    """``left @ right`` and the bound on its error, where every product and partial sum may be rounded."""
    # Not every release keeps the sums of half precision in float32 on the CPU.
    unit = max(rounding_unit(cell.dtype), accumulation_unit(cell))
    return left @ right, gamma(left.shape[1] + 2, unit) * (np.abs(left) @ np.abs(right))


def affine(cell, x, w, b):
    """``x @ w + b`` and the bound on its error: the product is rounded before the bias is added."""
    result, bound = product(cell, x, w)
    return result + b, bound + roundings(cell, 1, np.abs(result) + bound + np.abs(b))


def numpy_members(module):
    return {name: to_numpy(parameter) for name, parameter in module.named_parameters()}


@claim("module-own-linear")
@SHAPES
def test_linear(rows, inputs, outputs, cell, rng):
    layer = cell.place(Linear(inputs, outputs))
    x = cell.tensor(rng.normal(size=(rows, inputs)))
    expected, bound = affine(cell, to_numpy(x), **numpy_members(layer))
    assert_within(cell.run(layer)(x), expected, bound, what="output", because=f"sum of {inputs}, then the bias")


@claim("module-no-backward-needed")
@SHAPES
def test_gradients_of_linear(rows, inputs, outputs, cell, rng):
    layer = cell.place(Linear(inputs, outputs))
    x = cell.tensor(rng.normal(size=(rows, inputs)), requires_grad=True)
    upstream = cell.tensor(rng.normal(size=(rows, outputs)))
    cell.run(layer)(x).backward(upstream)
    check_linear_gradients(cell, layer, x, upstream)


def check_linear_gradients(cell, layer, x, upstream):
    values, grad = to_numpy(x), to_numpy(upstream)
    for what, seen, (expected, bound) in (
        ("gradient of w", layer.w.grad, product(cell, values.T, grad)),
        ("gradient of b", layer.b.grad[None], product(cell, np.ones((1, len(grad))), grad)),
        ("gradient of x", x.grad, product(cell, grad, to_numpy(layer.w).T)),
    ):
        assert_within(seen, expected, bound, what=what, because="a sum of products")


def hidden_layer(cell, x, members):
    """sigmoid(x @ w + b) and the bound on its error; sigmoid has a slope of at most y (1 - y) <= 1/4 here."""
    z, bound = affine(cell, x, members["layer1.w"], members["layer1.b"])
    y = 1 / (1 + np.exp(-z))
    # The slope changes by at most the factor exp(bound) on the way; 8 roundings for exp, sum and quotient.
    return y, y * (1 - y) * bound * np.exp(bound) + roundings(cell, 8, y)


@claim("module-perceptron")
def test_perceptron(cell, rng):
    net = cell.place(Perceptron(3, 4, 1))
    x = cell.tensor(rng.normal(size=(2, 3)))
    members = numpy_members(net)
    y, y_bound = hidden_layer(cell, to_numpy(x), members)
    expected, bound = affine(cell, y, members["layer2.w"], members["layer2.b"])
    output = cell.run(net)(x)
    assert output.shape == (2, 1)
    passed_on = (1 + gamma(8, accumulation_unit(cell))) * y_bound @ np.abs(members["layer2.w"])
    assert_within(output, expected, bound + passed_on, what="output", because="two sums of products, sigmoid")


@claim("module-perceptron", "module-no-backward-needed")
def test_gradients_of_perceptron(cell, rng):
    net = cell.place(Perceptron(3, 4, 2))
    x = cell.tensor(rng.normal(size=(5, 3)), requires_grad=True)
    upstream = cell.tensor(rng.normal(size=(5, 2)))
    cell.run(net)(x).backward(upstream)
    members, values, grad = numpy_members(net), to_numpy(x), to_numpy(upstream)
    y, y_bound = hidden_layer(cell, values, members)
    slope = y * (1 - y)
    slope_bound = y_bound + 3 * rounding_unit(cell.dtype)
    back = np.abs(grad) @ np.abs(members["layer2.w"]).T
    # Each factor's relative error first, then what the slope's absolute error adds.
    chain = gamma(2 + 5 + 8, accumulation_unit(cell)) * back * slope + 1.01 * back * slope_bound
    delta = grad @ members["layer2.w"].T * slope
    for what, seen, expected, bound in (
        ("layer1.w", net.layer1.w.grad, values.T @ delta, np.abs(values).T @ chain),
        ("layer1.b", net.layer1.b.grad, delta.sum(0), chain.sum(0)),
        ("x", x.grad, delta @ members["layer1.w"].T, chain @ np.abs(members["layer1.w"]).T),
        ("layer2.w", net.layer2.w.grad, y.T @ grad,
         (gamma(8, accumulation_unit(cell)) * y + 1.01 * y_bound).T @ np.abs(grad)),
    ):  # fmt: skip
        assert_within(seen, expected, 1.01 * bound, what=f"gradient of {what}", because="the chain rule, by hand")


@claim("module-backward-never-called")
def test_a_modules_backward_is_not_called(cell, rng):
    called = []

    class WithBackward(Linear):
        def backward(self, *gradients):
            called.append(gradients)

    layer = cell.place(WithBackward(4, 3))
    x = cell.tensor(rng.normal(size=(2, 4)), requires_grad=True)
    upstream = cell.tensor(rng.normal(size=(2, 3)))
    layer(x).backward(upstream)
    assert called == []
    assert not hasattr(nn.Module, "backward")
    check_linear_gradients(cell, layer, x, upstream)


class WithoutBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b):
        ctx.save_for_backward(x, w)
        return x.mm(w) + b


class WithBackward(WithoutBackward):
    @staticmethod
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        return grad.mm(w.t()), x.t().mm(grad), grad.sum(0)


@claim("module-backward-never-called")
def test_a_function_needs_its_backward(cell, rng):
    layer = cell.place(Linear(4, 3))
    x = cell.tensor(rng.normal(size=(2, 4)), requires_grad=True)
    upstream = cell.tensor(rng.normal(size=(2, 3)))
    output = WithoutBackward.apply(x, layer.w, layer.b)
    with pytest.raises(NotImplementedError, match="must implement either the backward"):
        output.backward(upstream)
    assert (x.grad, layer.w.grad) == (None, None)
    WithBackward.apply(x, layer.w, layer.b).backward(upstream)
    check_linear_gradients(cell, layer, x, upstream)
