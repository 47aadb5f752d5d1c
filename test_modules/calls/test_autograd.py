"""What a call leaves to autograd: graphs, gradients that add up, and detours that cut them."""

import numpy as np
import pytest
import torch
from torch import nn

from models.perceptron import Linear, Perceptron
from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import accumulation_unit, assert_same, assert_within, gamma, roundings


def one_product(cell, expected):
    """Bound on the error of a product of two rounded factors."""
    return gamma(3, accumulation_unit(cell)) * np.abs(expected)


@claim("grad-accumulate")
def test_gradients_add_up(cell):
    layer = cell.place(Linear(2, 1))
    x = cell.tensor([[1.0, 2.0], [3.0, 5.0]])
    for times in (1, 2, 3):
        layer(x).sum().backward()
        assert layer.w.grad.tolist() == [[4 * times], [7 * times]]
        assert layer.b.grad.tolist() == [2 * times]
    grad = layer.w.grad
    layer(-x).sum().backward()
    assert layer.w.grad.tolist() == [[8], [14]]
    assert layer.w.grad is grad


@claim("graph-recreated")
def test_each_forward_makes_its_graph(cell):
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(cell.tensor([5.0]))

        def forward(self, x):
            return x * self.w if x.sum() > 0 else x - self.w

    module = Branching()
    x = cell.tensor([2.0])
    outputs = [module(x), module(x), module(-x)]
    nodes = [output.grad_fn for output in outputs]
    assert len({id(node) for node in nodes}) == 3
    assert ["Mul" in nodes[0].name(), "Sub" in nodes[2].name()] == [True, True]
    for output, expected in zip(outputs, (2, 4, 3), strict=True):
        output.backward()
        assert module.w.grad.tolist() == [expected]
    x.mul_(-1)
    assert "Sub" in module(x).grad_fn.name()


@claim("grad-nonleaf")
def test_gradient_of_a_hidden_output(cell, rng):
    net = cell.place(Perceptron(3, 4, 1))
    x, upstream = cell.tensor(rng.normal(size=(2, 3))), cell.tensor(rng.normal(size=(2, 1)))
    hidden = torch.sigmoid(net.layer1(x))
    net.layer2(hidden).backward(upstream)
    with pytest.warns(UserWarning, match="not a leaf Tensor"):
        assert hidden.grad is None
    hidden = torch.sigmoid(net.layer1(x))
    hidden.retain_grad()
    net.layer2(hidden).backward(upstream)
    expected = to_numpy(upstream) @ to_numpy(net.layer2.w).T
    assert_within(hidden.grad, expected, one_product(cell, expected), what="hidden.grad", because="one product")
    assert not hidden.is_leaf


@claim("mode-eval-not-nograd")
def test_eval_keeps_gradients(cell):
    layer = cell.place(Linear(2, 1)).eval()
    output = layer(cell.tensor([[3.0, 5.0]]))
    assert output.requires_grad
    output.backward()
    grads = [parameter.grad for parameter in layer.parameters()]
    assert [None if grad is None else grad.tolist() for grad in grads] == [[[3], [5]], [1]]


class Detour(nn.Module):
    """layer1, exp in NumPy, layer2."""

    def __init__(self, cell, last):
        super().__init__()
        self.cell = cell
        self.layer1, self.last = Linear(2, 2), last

    def forward(self, x):
        x = self.cell.tensor(np.exp(to_numpy(self.layer1(x))))
        return self.last(x)


@claim("module-numpy-detour")
def test_a_numpy_detour_cuts_the_graph(cell):
    net = cell.place(Detour(cell, Linear(2, 1)))
    output = net(cell.tensor([[0.25, -0.5]]))
    hidden = np.exp(to_numpy(net.layer1(cell.tensor([[0.25, -0.5]]))))
    output.backward()
    bound = one_product(cell, hidden.T)
    assert_within(net.last.w.grad, hidden.T, bound, what="gradient after the detour", because="one product")
    assert [parameter.grad for parameter in net.layer1.parameters()] == [None, None]


@claim("module-numpy-detour")
def test_nothing_is_left_to_differentiate(cell):
    net = cell.place(Detour(cell, nn.Identity()))
    x = cell.tensor([[0.25, -0.5]], requires_grad=True)
    output = net(x)
    assert (output.requires_grad, output.grad_fn) == (False, None)
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        output.sum().backward()
    assert (x.grad, net.layer1.w.grad) == (None, None)
    expected = np.exp(to_numpy(net.layer1(x)))
    assert_within(output, expected, roundings(cell, 1, expected), what="output", because="rounded once")


@claim("module-numpy-detour")
@pytest.mark.parametrize("leaf", [False, True], ids=["output", "parameter"])
def test_numpy_refuses_what_requires_a_gradient(cell, leaf):
    layer = Linear(1, 1).to(cell.device.name)
    tensor = layer.w if leaf else layer(torch.ones(1, 1, device=cell.device.name))
    # Off the host the device is refused first.
    error, message = (RuntimeError, "requires grad") if cell.device.is_cpu else (TypeError, "can't convert")
    with pytest.raises(error, match=message):
        tensor.numpy()


@claim("saved-freed")
def test_a_second_backward(cell, rng):
    net = cell.place(Perceptron(3, 4, 1))
    x = cell.tensor(rng.normal(size=(2, 3)))
    output = net(x).sum()
    output.backward(retain_graph=True)
    once = net.layer1.w.grad.clone()
    output.backward()
    assert_same(net.layer1.w.grad, once * 2, what="gradient after two backwards")
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        output.backward()
    assert_same(net.layer1.w.grad, once * 2, what="gradient after the error")


@claim("saved-freed")
def test_nothing_saved_nothing_freed(cell):
    x = cell.tensor([1.0, 2.0], requires_grad=True)
    output = (x + 1).sum()
    output.backward()
    output.backward()
    assert x.grad.tolist() == [2, 2]
