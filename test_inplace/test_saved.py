"""What backward needs: which operation saves its input or its result, and what becomes of a write to it."""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, roundings

REFUSED = "needed for gradient computation has been modified by an inplace operation"


class Row(NamedTuple):
    """An operation, whether backward needs its input "x", its result "y", both or none, and its gradient."""

    function: Callable[[torch.Tensor], torch.Tensor]
    saves: str
    gradient: Callable[[np.ndarray, np.ndarray], np.ndarray]
    positive: bool = False


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def reversed_cumsum(g):
    return np.cumsum(g[:, ::-1], 1)[:, ::-1]


def others_product(x):
    return np.stack([np.prod(np.delete(x.ravel(), i)) for i in range(x.size)]).reshape(x.shape)


def at_largest(x, g):
    return g[:, None] * (x == x.max(1, keepdims=True))


WEIGHT = np.array([[2.0, -3.0, 0.5], [1.0, 4.0, -2.0]])

# x has two rows of three distinct numbers whose size is between 0.2 and 0.9; g is the gradient of the result.
ROWS = {
    # nothing
    "x + 2": Row(lambda x: x + 2, "", lambda x, g: g),
    "2 - x": Row(lambda x: 2 - x, "", lambda x, g: -g),
    "-x": Row(lambda x: -x, "", lambda x, g: -g),
    "3 * x": Row(lambda x: 3 * x, "", lambda x, g: 3 * g),
    "x / 4": Row(lambda x: x / 4, "", lambda x, g: g / 4),
    "x * weight": Row(lambda x: x * x.new_tensor(WEIGHT), "", lambda x, g: g * WEIGHT),
    "x / weight": Row(lambda x: x / x.new_tensor(WEIGHT), "", lambda x, g: g / WEIGHT),
    "sum": Row(lambda x: x.sum(1), "", lambda x, g: np.repeat(g[:, None], 3, 1)),
    "cumsum": Row(lambda x: x.cumsum(1), "", lambda x, g: reversed_cumsum(g)),
    "flip": Row(lambda x: x.flip(1), "", lambda x, g: g[:, ::-1]),
    "max": Row(lambda x: x.max(1).values, "", at_largest),
    "sort": Row(
        lambda x: x.sort(1).values,
        "",
        lambda x, g: np.take_along_axis(g, np.argsort(np.argsort(x, 1), 1), 1),
    ),
    "sign": Row(lambda x: torch.sign(x), "", lambda x, g: 0 * g),
    "round": Row(lambda x: torch.round(x), "", lambda x, g: 0 * g),
    "matmul by a constant": Row(lambda x: x @ x.new_tensor(WEIGHT).t(), "", lambda x, g: g @ WEIGHT),
    # its input
    "x ** 3": Row(lambda x: x**3, "x", lambda x, g: 3 * g * x**2),
    "square": Row(lambda x: torch.square(x), "x", lambda x, g: 2 * g * x),
    "x * x": Row(lambda x: x * x, "x", lambda x, g: 2 * g * x),
    "abs": Row(lambda x: torch.abs(x), "x", lambda x, g: g * np.sign(x)),
    "sin": Row(lambda x: torch.sin(x), "x", lambda x, g: g * np.cos(x)),
    "cos": Row(lambda x: torch.cos(x), "x", lambda x, g: -g * np.sin(x)),
    "sinh": Row(lambda x: torch.sinh(x), "x", lambda x, g: g * np.cosh(x)),
    "atan": Row(lambda x: torch.atan(x), "x", lambda x, g: g / (1 + x**2)),
    "log": Row(lambda x: torch.log(x), "x", lambda x, g: g / x, positive=True),
    "log1p": Row(lambda x: torch.log1p(x), "x", lambda x, g: g / (1 + x), positive=True),
    "erf": Row(lambda x: torch.erf(x), "x", lambda x, g: 2 / np.sqrt(np.pi) * g * np.exp(-(x**2))),
    "clamp": Row(lambda x: x.clamp(-0.1, 1), "x", lambda x, g: g * (x > -0.1)),
    "leaky_relu": Row(lambda x: F.leaky_relu(x, 0.1), "x", lambda x, g: g * np.where(x > 0, 1, 0.1)),
    "elu": Row(lambda x: F.elu(x), "x", lambda x, g: g * np.where(x > 0, 1, np.exp(x))),
    "softplus": Row(lambda x: F.softplus(x), "x", lambda x, g: g * sigmoid(x)),
    "silu": Row(lambda x: F.silu(x), "x", lambda x, g: g * sigmoid(x) * (1 + x * (1 - sigmoid(x)))),
    "softsign": Row(lambda x: F.softsign(x), "x", lambda x, g: g / (1 + np.abs(x)) ** 2),
    "hardshrink": Row(lambda x: F.hardshrink(x, 0.1), "x", lambda x, g: g),
    # its result
    "exp": Row(lambda x: torch.exp(x), "y", lambda x, g: g * np.exp(x)),
    "exp2": Row(lambda x: torch.exp2(x), "y", lambda x, g: g * 2**x * np.log(2)),
    "expm1": Row(lambda x: torch.expm1(x), "y", lambda x, g: g * np.exp(x)),
    "sigmoid": Row(lambda x: torch.sigmoid(x), "y", lambda x, g: g * sigmoid(x) * sigmoid(-x)),
    "tanh": Row(lambda x: torch.tanh(x), "y", lambda x, g: g / np.cosh(x) ** 2),
    "tan": Row(lambda x: torch.tan(x), "y", lambda x, g: g / np.cos(x) ** 2),
    "relu": Row(lambda x: torch.relu(x), "y", lambda x, g: g * (x > 0)),
    "sqrt": Row(lambda x: torch.sqrt(x), "y", lambda x, g: g / (2 * np.sqrt(x)), positive=True),
    "rsqrt": Row(lambda x: torch.rsqrt(x), "y", lambda x, g: -g / (2 * x**1.5), positive=True),
    "reciprocal": Row(lambda x: torch.reciprocal(x), "y", lambda x, g: -g / x**2),
    "softmax": Row(
        lambda x: F.softmax(x, 1),
        "y",
        lambda x, g: softmax(x) * (g - (softmax(x) * g).sum(1, keepdims=True)),
    ),
    "log_softmax": Row(lambda x: F.log_softmax(x, 1), "y", lambda x, g: g - softmax(x) * g.sum(1, keepdims=True)),
    # both
    "prod": Row(lambda x: torch.prod(x), "xy", lambda x, g: g * others_product(x)),
    "norm": Row(lambda x: torch.linalg.vector_norm(x), "xy", lambda x, g: g * x / np.sqrt((x**2).sum())),
    "amax": Row(lambda x: x.amax(1), "xy", at_largest),
    "logsumexp": Row(lambda x: x.logsumexp(1), "xy", lambda x, g: g[:, None] * softmax(x)),
}
BY_ROW = pytest.mark.parametrize("name", ROWS)


def backward_refused(y, gradient):
    """Whether backward raised because of a write to what it needs."""
    try:
        y.backward(gradient)
    except RuntimeError as error:
        if REFUSED not in str(error):
            raise
        return True
    return False


def start(cell, rng, row):
    size = (0.2 + 0.1 * rng.permutation(6) + rng.uniform(0, 0.09, 6)).reshape(2, 3)
    sign = 1.0 if row.positive else np.array([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]])
    return cell.tensor(sign * size, requires_grad=True)


def assert_gradient(cell, leaf, row, cotangent, factor=1):
    x, g = to_numpy(leaf), factor * to_numpy(cotangent)
    expected = row.gradient(x, g)
    assert expected.shape == x.shape
    bound = roundings(cell, 16, (1 + np.abs(expected)) * (1 + np.abs(g).sum()))
    assert_within(leaf.grad, expected, bound, what="gradient", because="16 roundings of terms below 1 + |g|")


@claim("inplace-saved-by-operation")
@BY_ROW
def test_write_before_backward(cell, rng, name):
    row = ROWS[name]
    leaf = start(cell, rng, row)
    y = row.function(leaf.clone())
    cotangent = cell.tensor(rng.normal(size=tuple(y.shape)))
    y.backward(cotangent)
    assert_gradient(cell, leaf, row, cotangent)
    for written in ("x", "y"):
        check_write(cell, rng, row, written)


def check_write(cell, rng, row, written):
    leaf = start(cell, rng, row)
    x = leaf.clone()
    y = row.function(x)
    cotangent = cell.tensor(rng.normal(size=tuple(y.shape)))
    target = x if written == "x" else y
    with torch.no_grad():
        wanted = target * 3
    assert target.mul_(3) is target
    assert_same(target.detach(), wanted, what="what was written, which raised nothing")
    refused = backward_refused(y, cotangent)
    assert refused == (written in row.saves), f"a write to {written} was {'refused' if refused else 'not refused'}"
    if refused:
        assert leaf.grad is None, "the refused backward left a gradient"
    else:
        assert_gradient(cell, leaf, row, cotangent, factor=3 if written == "y" else 1)


@claim("inplace-saved-seen-by-hooks")
@BY_ROW
def test_what_the_hooks_see_saved(cell, rng, name):
    row = ROWS[name]
    x = start(cell, rng, row).clone()
    saved = []

    def pack(tensor):
        saved.append(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = row.function(x)
    seen = "".join(label for label, tensor in (("x", x), ("y", y)) if tensor.data_ptr() in saved)
    assert seen == row.saves, f"{name} saved {seen or 'neither'}, expected {row.saves or 'neither'}"


@claim("inplace-saved-seen-by-hooks")
@pytest.mark.parametrize("attribute", ["_saved_self", "_saved_result"])
def test_saved_attributes(cell, attribute):
    x = cell.tensor([0.5, 1.5], requires_grad=True).clone()
    y = x.sin() if attribute == "_saved_self" else x.exp()
    node, needed = y.grad_fn, x if attribute == "_saved_self" else y
    assert getattr(node, attribute).data_ptr() == needed.data_ptr()
    needed.add_(1)
    with pytest.raises(RuntimeError, match=REFUSED):
        getattr(node, attribute)


LAYERS = {
    "Linear": (lambda: nn.Linear(3, 2), (4, 3), "x"),
    "Conv1d": (lambda: nn.Conv1d(3, 2, 2), (2, 3, 5), "x"),
    "Conv2d": (lambda: nn.Conv2d(3, 2, (2, 3)), (2, 3, 4, 5), "x"),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), (4, 3), "x"),
    "LayerNorm": (lambda: nn.LayerNorm(3), (4, 3), "x"),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), (2, 3, 4, 5), "x"),
    "Sigmoid": (nn.Sigmoid, (4, 3), "y"),
    "Tanh": (nn.Tanh, (4, 3), "y"),
    "ReLU": (nn.ReLU, (4, 3), "y"),
    "Softmax": (lambda: nn.Softmax(1), (4, 3), "y"),
    "Dropout": (lambda: nn.Dropout(0.5), (4, 3), ""),
    "Flatten": (nn.Flatten, (4, 3, 2), ""),
}


@claim("inplace-saved-by-layer")
@pytest.mark.parametrize("written", ["x", "y"])
@pytest.mark.parametrize("name", LAYERS)
def test_write_beside_a_layer(cell, rng, name, written):
    make, shape, saves = LAYERS[name]
    layer = cell.place(make())
    leaf = cell.tensor(rng.normal(size=shape), requires_grad=True)
    x = leaf.clone()
    y = layer(x)
    (x if written == "x" else y).zero_()
    assert backward_refused(y, torch.ones_like(y)) == (written in saves)
    if written in saves:
        assert leaf.grad is None
    elif written == "y":
        assert_same(leaf.grad, torch.zeros_like(leaf), what="the gradient of a result that was zeroed")


@claim("inplace-saved-by-need")
@pytest.mark.parametrize("operation", ["mul", "matmul", "linear"])
@pytest.mark.parametrize("need", ["weight requires grad", "weight is constant"])
def test_factor_saved_only_for_the_other(cell, operation, need):
    leaf = cell.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
    weight = cell.tensor([[2.0, -1.0], [4.0, 3.0]], requires_grad=need == "weight requires grad")
    function = {"mul": torch.mul, "matmul": torch.matmul, "linear": F.linear}[operation]
    x = leaf.clone()
    y = function(x, weight)
    x.zero_()
    assert backward_refused(y, torch.ones_like(y)) == weight.requires_grad
    if weight.requires_grad:
        assert leaf.grad is None
        assert weight.grad is None
    else:
        expected = {
            "mul": [[2.0, -1.0], [4.0, 3.0]],
            "matmul": [[1.0, 7.0], [1.0, 7.0]],
            "linear": [[6.0, 2.0], [6.0, 2.0]],
        }
        assert_same(leaf.grad, cell.tensor(expected[operation]), what="the gradient of x")


@claim("inplace-saved-message")
@pytest.mark.parametrize(("before", "after"), [(0, 1), (0, 3), (2, 1), (3, 2)])
def test_message(cell, before, after):
    x = cell.tensor([0.5, 1.5, 2.5], requires_grad=True).clone()
    for _ in range(before):
        x.add_(1)
    y = x.sin()
    for _ in range(after):
        x.add_(1)
    with pytest.raises(RuntimeError) as raised:
        y.sum().backward()
    message = str(raised.value)
    assert REFUSED in message
    assert "[3]" in message, "the message lacks the shape"
    producer = "Add" if after + before else "Clone"
    assert re.search(rf"output 0 of {producer}(Backward0)?\b", message)
    versions = re.search(r"is at version (\d+); expected version (\d+)", message)
    assert versions
    assert [int(number) for number in versions.groups()] == [before + after, before]
    assert x._version == before + after


@claim("inplace-saved-refused-at-backward")
def test_writing_the_old_value_back_does_not_help(cell):
    leaf = cell.tensor([0.5, 1.5], requires_grad=True)
    y = torch.exp(leaf)
    kept = y.detach().clone()
    y.mul_(2)
    with torch.no_grad():
        y.copy_(kept)
    with pytest.raises(RuntimeError, match=r"is at version 2; expected version 0"):
        y.sum().backward()


@claim("inplace-saved-refused-at-backward")
@pytest.mark.parametrize("writer", ["view", "no_grad", "setitem", "out="])
def test_every_writer_is_noticed(cell, writer):
    leaf = cell.tensor([0.5, 1.5], requires_grad=True)
    y = torch.exp(leaf)
    if writer == "view":
        y[:1].add_(1)
    elif writer == "setitem":
        y[0] = 3.0
    else:
        with torch.no_grad():
            torch.add(y, 1, out=y) if writer == "out=" else y.add_(1)
    with pytest.raises(RuntimeError, match=REFUSED):
        y.sum().backward()
    assert leaf.grad is None


@claim("inplace-detach-noticed")
@pytest.mark.parametrize("operation", ["square", "exp"])
def test_write_through_detach(cell, operation):
    leaf = cell.tensor([2.0, 3.0], requires_grad=True)
    x = leaf * 1
    y = getattr(torch, operation)(x)
    saved = x if operation == "square" else y
    detached = saved.detach()
    assert detached.data_ptr() == saved.data_ptr()
    assert not detached.requires_grad
    detached.mul_(10)
    assert saved._version == 1
    with pytest.raises(RuntimeError, match=r"is at version 1; expected version 0"):
        y.sum().backward()
    assert leaf.grad is None


@claim("inplace-data-unnoticed")
def test_write_through_data(cell):
    leaf = cell.tensor([2.0, 3.0], requires_grad=True)
    x = leaf * 1
    y = x * x
    x.data.mul_(10)
    assert x._version == 0
    y.sum().backward()
    # The true gradient is [4, 6].
    assert_same(leaf.grad, cell.tensor([40.0, 60.0]), what="the gradient, silently taken at the new value")


@claim("inplace-between-backwards")
def test_optimizer_step_between_backwards(cell):
    first, second = cell.place(nn.Linear(2, 3)), cell.place(nn.Linear(3, 1))
    optimizer = torch.optim.SGD([*first.parameters(), *second.parameters()], lr=0.1)
    loss = second(first(cell.tensor([[1.0, 2.0]]))).square().sum()
    loss.backward(retain_graph=True)
    old = second.weight.detach().clone()
    version = second.weight._version
    optimizer.step()
    assert not torch.equal(second.weight.detach(), old)
    assert second.weight._version > version
    with pytest.raises(RuntimeError, match=REFUSED):
        loss.backward()


@claim("inplace-between-backwards")
def test_retained_graph_without_step(cell):
    first, second = cell.place(nn.Linear(2, 3)), cell.place(nn.Linear(3, 1))
    loss = second(first(cell.tensor([[1.0, 2.0]]))).square().sum()
    loss.backward(retain_graph=True)
    once = first.weight.grad.clone()
    loss.backward()
    assert_same(first.weight.grad, 2 * once, what="the gradient of two backwards")


class CubeOfSaved(torch.autograd.Function):
    """x ** 3, its input handed to ``save_for_backward``."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * gradient


class ProductOfSaved(torch.autograd.Function):
    """x * y, both handed to ``save_for_backward``."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx, gradient):
        x, y = ctx.saved_tensors
        return gradient * y, gradient * x


class CubeOfAttribute(torch.autograd.Function):
    """x ** 3, its input kept as a plain attribute."""

    @staticmethod
    def forward(ctx, x):
        ctx.x = x
        return x**3

    @staticmethod
    def backward(ctx, gradient):
        return 3 * ctx.x**2 * gradient


@claim("inplace-custom-function")
def test_custom_function_that_saves(cell):
    leaf = cell.tensor([1.0, 2.0], requires_grad=True)
    CubeOfSaved.apply(leaf.clone()).sum().backward()
    assert_same(leaf.grad, cell.tensor([3.0, 12.0]), what="the gradient of x ** 3")
    leaf.grad = None
    x = leaf.clone()
    y = CubeOfSaved.apply(x)
    x.mul_(2)
    with pytest.raises(RuntimeError, match=r"is at version 1; expected version 0"):
        y.sum().backward()
    assert leaf.grad is None


@claim("inplace-custom-function")
@pytest.mark.parametrize("written", [0, 1], ids=["first", "second"])
def test_each_tensor_that_a_custom_function_saves_is_watched(cell, written):
    factors = [cell.tensor([value, 2.0], requires_grad=True).clone() for value in (3.0, 5.0)]
    product = ProductOfSaved.apply(*factors)
    factors[written].mul_(2)
    with pytest.raises(RuntimeError, match=r"is at version 1; expected version 0"):
        product.sum().backward()


@claim("inplace-custom-function")
def test_custom_function_that_keeps_an_attribute(cell):
    leaf = cell.tensor([1.0, 2.0], requires_grad=True)
    x = leaf.clone()
    y = CubeOfAttribute.apply(x)
    x.mul_(2)
    y.sum().backward()
    assert_same(leaf.grad, cell.tensor([12.0, 48.0]), what="the gradient, silently taken at the new value")
