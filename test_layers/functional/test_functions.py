"""gumbel_softmax, which has no layer of its own, dtypes of softmax, and defaults, as values."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from torchclaims import claim
from torchclaims.chance import assert_rate
from torchclaims.reference import activation
from torchclaims.targets import FLOAT16_ON_CPU_SINCE, RELEASE, to_numpy
from torchclaims.tolerance import assert_same, assert_within, gamma, rounding_unit


@claim("func-gumbel-one-hot")
@pytest.mark.parametrize("dim", [None, 0, 1, -1])
@pytest.mark.parametrize("tau", [0.1, 1.0, 10.0])
def test_one_hot(cell, rng, dim, tau):
    logits = cell.tensor(rng.normal(size=(60, 50)) * 3, requires_grad=True)
    given = {} if dim is None else {"dim": dim}
    axis = -1 if dim is None else dim
    torch.manual_seed(1)
    hard = cell.run(F.gumbel_softmax)(logits, tau, hard=True, **given)
    assert hard.dtype == logits.dtype
    values = to_numpy(hard)
    assert set(np.unique(values)) == {0.0, 1.0}
    assert (values.sum(axis) == 1).all()
    torch.manual_seed(1)
    soft = cell.run(F.gumbel_softmax)(logits, tau, **given)
    assert (to_numpy(soft).argmax(axis) == values.argmax(axis)).all()
    weights = cell.tensor(rng.normal(size=(60, 50)))
    grads = [torch.autograd.grad(out, logits, weights)[0] for out in (hard, soft)]
    assert_same(grads[0], grads[1], what="gradient of the hard sample")


@claim("func-gumbel-soft")
@pytest.mark.parametrize("tau", [0.5, 1.0, 3.0])
def test_distribution(cell, tau):
    logits = cell.tensor([1.0, 0.0, -1.0, 0.5]).expand(20000, 4)
    shares = activation.softmax(to_numpy(logits[0]), 0)
    sample = cell.run(lambda x: F.gumbel_softmax(x, tau))
    out = to_numpy(sample(logits))
    assert (out >= 0).all()
    assert_within(
        torch.from_numpy(out.sum(1)),
        np.ones(20000),
        gamma(12, rounding_unit(cell.dtype)),
        what="sums",
        because="four quotients",
    )
    for place, share in enumerate(shares):
        assert_rate(
            lambda place=place: sample(logits).argmax(1) == place,
            float(share),
            what=f"the largest element at {place}",
        )


@claim("func-gumbel-soft")
def test_of_two_the_difference_is_logistic(cell):
    # (log y_0 - log y_1) tau is the difference of two Gumbel variables and the logits': P(< 0.5) is a sigmoid.
    logits = cell.tensor([0.7, 0.0]).expand(20000, 2)
    sample = cell.run(lambda x: F.gumbel_softmax(x, 2.0))

    def small():
        y = sample(logits)
        return (y[:, 0].log() - y[:, 1].log()) * 2.0 < 0.5

    assert_rate(small, float(activation.sigmoid(np.asarray(0.5 - 0.7))), what="a log ratio below 1/2")


@claim("func-gumbel-tau-zero")
@pytest.mark.parametrize("hard", [False, True])
def test_temperature_of_zero(cell, hard):
    out = cell.run(F.gumbel_softmax)(cell.tensor([[1.0, 2.0, 0.0]]), tau=0, hard=hard)
    total = float(out.sum())
    if total != 1:
        raise AssertionError(f"expected elements that sum to 1 with tau = 0, seen the sum {total}")


ROWS = ["softmax", "softmin", "log_softmax"]


@claim("func-softmax-dtype")
@pytest.mark.parametrize("name", ROWS)
def test_dtype(cell, name):
    # In float16 the numbers would overflow on their way to float64; as integers softmax refuses them.
    whole = torch.tensor([[0, 1, 3], [5, 5, 70000]], device=cell.device.name)
    signs = {"softmax": 1, "softmin": -1, "log_softmax": 1}[name]
    reference = activation.log_softmax if name == "log_softmax" else activation.softmax
    expected = reference(signs * to_numpy(whole).astype(float), 1)
    for x in (whole, whole.double().float()):
        out = cell.run(getattr(F, name))(x, 1, dtype=torch.float64)
        assert out.dtype == torch.float64
        bound = 1e-14 * (1 + np.abs(expected))
        assert_within(out, expected, bound, what=name, because="a few roundings in float64")
    assert cell.run(getattr(F, name))(whole.double(), 1, dtype=torch.float32).dtype == torch.float32
    # The cast comes first: 70000 is infinite in float16, and so is not a number what it is subtracted from.
    if name == "softmax" and RELEASE >= FLOAT16_ON_CPU_SINCE:
        assert bool(torch.isnan(cell.run(getattr(F, name))(whole.float(), 1, dtype=torch.float16)[1]).any())
    assert cell.run(getattr(F, name))(whole.float(), 1).dtype == torch.float32


X = [-2.0, -0.3, 0.0, 0.4, 2.0, 25.0]

# What must be given, and what a page prints as defaults.
DEFAULTS = {
    "elu": ([], {"alpha": 1.0, "inplace": False}),
    "celu": ([], {"alpha": 1.0, "inplace": False}),
    "leaky_relu": ([], {"negative_slope": 0.01, "inplace": False}),
    "hardtanh": ([], {"min_val": -1.0, "max_val": 1.0, "inplace": False}),
    "rrelu": ([], {"lower": 1 / 8, "upper": 1 / 3, "training": False, "inplace": False}),
    "hardshrink": ([], {"lambd": 0.5}),
    "softshrink": ([], {"lambd": 0.5}),
    "softplus": ([], {"beta": 1, "threshold": 20}),
    "gelu": ([], {"approximate": "none"}),
    "glu": ([], {"dim": -1}),
    "max_pool1d": (
        [2],
        {"stride": 2, "padding": 0, "dilation": 1, "ceil_mode": False},
    ),
    "avg_pool1d": (
        [2],
        {"stride": 2, "padding": 0, "ceil_mode": False, "count_include_pad": True},
    ),
    "lp_pool1d": ([2, 4], {"stride": 4, "ceil_mode": False}),
}


@claim("func-defaults")
@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults(cell, name):
    required, defaults = DEFAULTS[name]
    x = cell.tensor([X]) if required else cell.tensor(X)

    def function(x, **given):
        return getattr(F, name)(x, *required, **given)

    expected = function(x, **defaults)
    assert_same(function(x), expected, what="with the defaults left out")
    for left_out in defaults:
        rest = {key: value for key, value in defaults.items() if key != left_out}
        assert_same(function(x, **rest), expected, what=f"without {left_out}")
    assert x.flatten().tolist() == cell.tensor(X).tolist()
