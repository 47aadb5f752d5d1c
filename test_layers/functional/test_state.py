"""What functions keep, what a module keeps for them, and which of them depend on the mode."""

import inspect
import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import claim
from torchclaims.chance import assert_rate
from torchclaims.reference.pooling import avg_pool
from torchclaims.reference.windows import Windows
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, sum_bound


class Convolving(nn.Module):
    """F.conv2d with a weight that is an attribute, made by ``keep(module, tensor)``."""

    def __init__(self, keep, weight):
        super().__init__()
        keep(self, weight)

    def forward(self, x):
        return F.conv2d(x, self.weight)


KEEP = {
    "parameter": (lambda module, weight: setattr(module, "weight", nn.Parameter(weight)), ["weight"]),
    "buffer": (lambda module, weight: module.register_buffer("weight", weight), ["weight"]),
    "plain tensor": (lambda module, weight: setattr(module, "weight", weight), []),
    "plain tensor with gradient": (
        lambda module, weight: setattr(module, "weight", weight.requires_grad_()),
        [],
    ),
}


@claim("func-parameters-saved")
@pytest.mark.parametrize(("keep", "keys"), KEEP.values(), ids=KEEP)
def test_saved_and_loaded(cell, rng, keep, keys):
    x = cell.tensor(rng.normal(size=(1, 2, 4, 4)))
    trained, fresh = (Convolving(keep, cell.tensor(rng.normal(size=(3, 2, 2, 2)))) for _ in range(2))
    file = io.BytesIO()
    torch.save(trained.state_dict(), file)
    file.seek(0)
    saved = torch.load(file)
    assert list(saved) == keys
    assert not any(fresh.load_state_dict(saved))
    assert torch.equal(fresh(x), trained(x)) == bool(keys)


@claim("func-avg-pool-exists")
def test_avg_pool(cell, rng):
    x, windows = cell.tensor(rng.normal(size=(2, 3, 5, 6))), Windows.of((2, 3), stride=(2, 1), padding=(1, 0))
    expected = avg_pool(to_numpy(x), windows)
    # The sum may be rounded to the cell's dtype before the division.
    magnitude = avg_pool(abs(to_numpy(x)), windows)
    bound = sum_bound(cell, 7, magnitude, expected) + float(torch.finfo(cell.dtype).eps) * magnitude
    seen = cell.run(F.avg_pool2d)(x, (2, 3), stride=(2, 1), padding=(1, 0))
    assert_within(seen, expected, bound, what="avg_pool2d", because="a sum over six elements and a division")


STATELESS = {
    "relu": lambda x, w: F.relu(x),
    "avg_pool2d": lambda x, w: F.avg_pool2d(x, 2),
    "max_pool2d": lambda x, w: F.max_pool2d(x, 2),
    "softmax": lambda x, w: F.softmax(x, 1),
    "conv2d": lambda x, w: F.conv2d(x, w),
    "linear": lambda x, w: F.linear(x, w[0, 0].t()),
    "prelu": lambda x, w: F.prelu(x, w[0, :, 0, 0]),
    "batch_norm": lambda x, w: F.batch_norm(x, None, None, training=True),
}


@claim("func-stateless")
@pytest.mark.parametrize("function", STATELESS.values(), ids=STATELESS)
def test_nothing_is_kept(cell, rng, function):
    class Calling(nn.Module):
        def forward(self, x, w):
            return function(x, w)

    caller = Calling()
    run = cell.run(lambda x, w: caller(x, w))
    values = rng.normal(size=(2, 2, 4, 3))
    first, second = cell.tensor(values), cell.tensor(2 * values[::-1])
    w = cell.tensor(rng.normal(size=(1, 2, 3, 2)))
    before = [tensor.clone() for tensor in (first, w)]
    once = run(first, w)
    run(second, w)
    assert_same(run(first, w), once, what="the same call after another one")
    assert_same([first, w], before, what="the arguments")
    assert list(caller.state_dict()) == []
    assert vars(caller).keys() == vars(nn.Module()).keys()


@claim("func-stateless")
def test_batch_norm_changes_the_statistics_it_is_given(cell, rng):
    x = cell.tensor(rng.normal(size=(4, 2)) + 8)
    given = [cell.tensor([0.0, 0.0]), cell.tensor([1.0, 1.0])]
    cell.run(F.batch_norm)(x, *given, training=True)
    assert all(float(mean) > 0.1 for mean in given[0])
    after = [tensor.clone() for tensor in given]
    cell.run(F.batch_norm)(x, *given)
    assert_same(given, after, what="statistics after a call without training=")


class Dropping(nn.Module):
    """F.dropout in forward; ``tell`` whether it hears of the module's mode."""

    def __init__(self, tell):
        super().__init__()
        self.tell = tell

    def forward(self, x):
        return F.dropout(x, 0.3, training=self.training) if self.tell else F.dropout(x, 0.3)


@claim("func-dropout-ignores-eval")
def test_dropout_that_is_not_told(cell):
    module, x = Dropping(tell=False).eval(), cell.tensor(np.ones(20000))
    assert not module.training
    run = cell.run(module)
    assert_rate(lambda: run(x) == 0, 0.3, what="an element dropped in evaluation")


@claim("func-dropout-ignores-eval")
def test_dropout_that_is_told(cell):
    module, x = Dropping(tell=True), cell.tensor(np.ones(20000))
    assert_same(cell.run(module.eval())(x), x, what="output in evaluation")
    run = cell.run(module.train())
    assert_rate(lambda: run(x) == 0, 0.3, what="an element dropped in training")


@claim("func-training-defaults")
@pytest.mark.parametrize(
    ("name", "training"),
    {
        "dropout": True,
        "dropout1d": True,
        "dropout2d": True,
        "dropout3d": True,
        "alpha_dropout": False,
    }.items(),
)
def test_defaults_of_dropout(cell, name, training):
    function, sizes = getattr(F, name), {"dropout1d": (3,), "dropout3d": (1, 2, 2)}.get(name, (2, 2))
    assert inspect.signature(function).parameters["training"].default is training
    x = cell.tensor(np.ones((4, 64, *sizes)))
    assert bool((cell.run(function)(x) != x).any()) == training


@claim("func-training-defaults")
def test_rrelu_and_batch_norm_do_not_train_by_default(cell, rng):
    x = cell.tensor(-np.abs(rng.normal(size=(4, 8))))
    # Not training, the slope of rrelu is the middle of its bounds: (1/2 + 1/4) / 2 = 3/8.
    assert_same(cell.run(F.rrelu)(x, 0.25, 0.5), x * 0.375, what="rrelu")
    mean, variance = cell.tensor(np.zeros(8)), cell.tensor(np.ones(8))
    assert_same(cell.run(F.batch_norm)(x, mean, variance, eps=1e-30), x, what="batch_norm")
    assert_same([mean, variance], [torch.zeros_like(mean), torch.ones_like(mean)], what="statistics")
