"""Work against hand counts: FLOPs and bytes of layers and of a VGG, forward and backward."""

from importlib.util import find_spec

import pytest
import torch
from torch import nn

from models.vgg import CONFIGURATION, VGG
from torchclaims.measure import trace, work
from torchclaims.measure.work import count

FLOAT = 4  # bytes
COUNTED = find_spec("torch.utils.flop_counter") is not None  # it came with PyTorch 2.1


def assert_work(seen, flops, values, operations, other=0):
    """``values`` are float32, ``other`` is in bytes."""
    assert seen == work.Work(flops if COUNTED else None, FLOAT * values + other, operations)


def backward(layer, x):
    """The backward pass alone, of a fresh graph, gradients being None."""
    y = layer(x)
    gradient = torch.ones_like(y)
    return lambda: y.backward(gradient)


@pytest.mark.parametrize(("wants_input", "passes"), [(False, 1), (True, 2)])
def test_convolution(wants_input, passes):
    layer = nn.Conv2d(3, 4, 3, padding=1)
    x = torch.randn(2, 3, 8, 8, requires_grad=wants_input)
    weight, inputs, outputs = 4 * 3 * 9, 2 * 3 * 64, 2 * 4 * 64
    flops = 2 * outputs * 3 * 9
    assert_work(count(lambda: layer(x)), flops, inputs + weight + 4 + outputs, 1)
    read, written = outputs + inputs + weight, weight + 4 + (inputs if wants_input else 0)
    assert_work(count(backward(layer, x)), passes * flops, read + written, 1)


def test_linear():
    layer = nn.Linear(5, 7)
    x = torch.randn(3, 5, requires_grad=True)
    flops = 2 * 3 * 5 * 7
    assert_work(count(lambda: layer(x)), flops, 15 + 35 + 7 + 21, 1)
    by_input, by_weight, by_bias = 21 + 35 + 15, 21 + 15 + 35, 21 + 7
    assert_work(count(backward(layer, x)), 2 * flops, by_input + by_weight + by_bias, 3)


def test_batch_normalisation():
    """Weight, bias and the two running statistics are read, the batch's two are written; the counter is 8 bytes."""
    layer = nn.BatchNorm2d(3)
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    n = 2 * 3 * 64
    assert_work(count(lambda: layer(x)), 0, n + 4 * 3 + n + 2 * 3, 2, other=8 + 8)
    # Read: gradient, input, weight, running and batch statistics; written: the gradients of input, weight and bias.
    assert_work(count(backward(layer, x)), 0, 2 * n + 5 * 3 + n + 2 * 3, 1)
    layer.eval()
    assert_work(count(lambda: layer(x.detach())), 0, n + 4 * 3 + n, 1)


@pytest.mark.parametrize("inplace", [False, True])
def test_relu(inplace):
    layer = nn.ReLU(inplace=inplace)
    x = torch.randn(100)
    assert_work(count(lambda: layer(x)), 0, 200, 1)
    leaf = torch.randn(100, requires_grad=True)
    graph = backward(nn.Sequential(nn.Identity(), layer), leaf + 0)
    assert_work(count(graph), 0, 300, 1)  # reads the gradient and its own result


def test_vgg():
    """Forward in training mode, and forward and backward together; the image wants no gradient."""
    batch, size, channels = 2, 32, 3
    flops = first = values = counters = operations = 0
    for width in CONFIGURATION[:-1]:
        n = batch * channels * size**2
        if width == "M":
            size //= 2
            values, counters, operations = values + n + n // 4, counters + 8 * (n // 4), operations + 1  # and indices
            continue
        m = batch * width * size**2
        product = 2 * m * channels * 9
        flops, first = flops + product, first or product
        convolution, norm, relu = n + channels * width * 9 + width + m, m + 4 * width + m + 2 * width, 2 * m
        values, counters, operations = values + convolution + norm + relu, counters + 16, operations + 4
        channels = width
    values, operations = values + batch * 512 * (4 + 1), operations + 1  # the 2 x 2 average
    n = batch * 512
    values += (n + 512 * 512 + 512 + n) + (n + 6 * 512 + n) + 2 * n + (n + 512 * 10 + 10 + batch * 10)
    flops += 2 * n * 512 + 2 * n * 10
    network, x = VGG(), torch.randn(batch, 3, 32, 32)
    assert_work(count(lambda: network(x)), flops, values, operations + 1 + 2 + 1 + 1, counters + 16)
    if COUNTED:
        assert count(lambda: network(x).sum().backward()).flops == 3 * flops - first


def test_views_move_nothing():
    x = torch.randn(4, 6)
    seen = count(lambda: (x.t(), x[1:], x.view(24), x.expand(2, 4, 6), x.detach(), torch.empty(100)))
    assert_work(seen, 0, 0, 0)


def test_an_expanded_tensor_is_as_small_as_its_memory():
    x, row = torch.randn(8, 6), torch.randn(6)
    assert_work(count(lambda: x * row.expand(8, 6)), 0, 48 + 6 + 48, 1)


def test_a_tensor_given_twice_is_read_once():
    x = torch.randn(100)
    assert_work(count(lambda: x * x), 0, 200, 1)


def test_what_overwrites_does_not_read():
    x = torch.randn(100)
    assert_work(count(x.zero_), 0, 100, 1)
    assert_work(count(lambda: x.copy_(torch.ones_like(x))), 0, 300, 2)


@pytest.mark.parametrize("foreach", [False, True])
def test_an_optimizer_step(foreach):
    parameters = [nn.Parameter(torch.randn(size)) for size in (10, 20)]
    for one in parameters:
        one.grad = torch.ones_like(one)
    optimizer = torch.optim.SGD(parameters, lr=0.1, foreach=foreach)
    assert_work(count(optimizer.step), 0, 90, 1 if foreach else 2)


def test_on_cuda_operations_are_launched_kernels(monkeypatch):
    calls = []
    events = [{"cat": "kernel"}, {"cat": "Kernel"}, {"cat": "cpu_op"}, {"cat": "gpu_memcpy"}, {}]
    monkeypatch.setattr(trace, "of", lambda function, **options: (events, function()))
    monkeypatch.setattr(work._Traffic, "on_cuda", property(lambda _: True, lambda *_: None), raising=False)
    assert count(lambda: calls.append(torch.ones(3) + 1)).operations == 2
    assert len(calls) == 2
