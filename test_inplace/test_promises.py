"""What the notes promise to whoever writes in place, taken by the word."""

import numpy as np
import pytest
import torch

from torchclaims import claim
from torchclaims.covering import board
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, roundings

REFUSED = "modified by an inplace operation"


def refused(c):
    """Whether the backward of ``c`` raised because of a write."""
    try:
        c.backward()
    except RuntimeError as error:
        if REFUSED not in str(error):
            raise
        return True
    return False


class KeptOnContext(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.x = x
        return x**3

    @staticmethod
    def backward(ctx, gradient):
        return 3 * gradient * ctx.x**2


def write_by_data(b):
    b.data.mul_(10)


def write_by_numpy(b):
    b.detach().numpy()[:] *= 10


def write_by_dlpack(b):
    torch.from_dlpack(b.detach().numpy()).mul_(10)


UNCOUNTED = {"data": write_by_data, "NumPy": write_by_numpy, "DLPack": write_by_dlpack}


@claim("inplace-silent-means-correct")
@pytest.mark.parametrize("way", UNCOUNTED)
def test_silent_write(cell, way):
    if way != "data" and not cell.device.is_cpu:
        pytest.skip("NumPy sees host memory only")
    a = cell.tensor([2.0], requires_grad=True)
    b = a * 1
    c = b * b
    UNCOUNTED[way](b)
    assert refused(c) or a.grad.item() == 4, f"the gradient is {a.grad.item():g}, not 4, and nothing was raised"


@claim("inplace-silent-means-correct")
def test_silent_write_to_the_context(cell):
    a = cell.tensor([2.0], requires_grad=True)
    b = a * 1
    c = KeptOnContext.apply(b)
    with torch.no_grad():
        b.mul_(2)
    assert refused(c) or a.grad.item() == 12, f"the gradient is {a.grad.item():g}, not 12, and nothing was raised"


COUNTED = {
    "mul_": lambda b: b.mul_(10),
    "setitem": lambda b: b.__setitem__(0, 7.0),
    "view": lambda b: b[1:].zero_(),
    "detach": lambda b: b.detach().add_(1),
    "out=": lambda b: torch.add(b.detach(), 1, out=b.detach()),
    "copy_": lambda b: b.copy_(b * 3),
    "relu_": lambda b: b.sub_(2).relu_(),
}
FUNCTIONS = {
    "square": (lambda b: b.square(), lambda v: 2 * v),
    "exp": (lambda b: b.exp(), np.exp),
    "3 * b": (lambda b: 3 * b, lambda v: np.full_like(v, 3)),
    "sum": (lambda b: b.sum() * torch.ones_like(b), lambda v: np.full_like(v, len(v))),
    "sigmoid": (lambda b: b.sigmoid(), lambda v: np.exp(v) / (1 + np.exp(v)) ** 2),
    "clamp": (lambda b: b.clamp(max=1.0), lambda v: (v < 1) * 1.0),
    "b / 4": (lambda b: b / 4, lambda v: np.full_like(v, 0.25)),
}


@claim("inplace-counted-means-correct")
@board(way=COUNTED.keys(), function=FUNCTIONS.keys())
def test_counted_write(cell, rng, way, function):
    forward, derivative = FUNCTIONS[function]
    a = cell.tensor(rng.uniform(1.25, 2, 3), requires_grad=True)
    b = a * 1
    c = forward(b)
    COUNTED[way](b)
    assert b._version >= 1
    if refused(c.sum()):
        assert function in ("square", "clamp"), "only these save their input"
        return
    expected = derivative(to_numpy(a))
    assert_within(a.grad, expected, roundings(cell, 12, expected), what="gradient", because="12 roundings")


@claim("inplace-shared-storage")
@pytest.mark.parametrize("how", ["view", "transposed", "detached", "shared twice"])
def test_shared(cell, how):
    x = cell.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True) * 1
    other = {
        "view": lambda: x[0],
        "transposed": lambda: x.t(),
        "detached": lambda: x.detach(),
        "shared twice": lambda: x.view(4)[:2],
    }[how]()
    assert other.data_ptr() == x.data_ptr()
    with pytest.raises(RuntimeError):
        x.mul_(3)
