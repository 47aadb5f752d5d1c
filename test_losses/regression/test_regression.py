"""Losses of a number against a number."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from test_losses.common import EDGES, REDUCTIONS, SHAPES, every_layout, normal
from torchclaims import claim
from torchclaims.comparison import assert_formula
from torchclaims.covering import covering
from torchclaims.reference import losses
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within

FULL = {"short": False, "full": True}


def both(cell, rng, shape, layout="plain"):
    return [normal(cell, rng, shape, layout), normal(cell, rng, shape)]


@claim("loss-l1")
@covering(EDGES, shape=SHAPES, reduction=REDUCTIONS)
def test_l1(cell, rng, shape, reduction):
    def formula(x, y):
        return losses.reduced(losses.absolute(x, y), reduction)

    assert_formula(cell, rng, nn.L1Loss(reduction=reduction), formula, both(cell, rng, shape))


@claim("loss-l1")
@every_layout
def test_l1_layouts(cell, rng, layout):
    assert_formula(cell, rng, nn.L1Loss(reduction="none"), losses.absolute, both(cell, rng, (9, 5), layout))


@claim("loss-l1-complex")
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_l1_of_complex_numbers(cell, reduction):
    dtype = {torch.float32: torch.complex64, torch.float64: torch.complex128}[cell.dtype]
    x = torch.tensor([3 + 4j, -8 + 6j, 1j], dtype=dtype, device=cell.device.name)
    y = torch.tensor([0, 0, 13j], dtype=dtype, device=cell.device.name)
    expected = {"none": [5.0, 10.0, 12.0], "mean": 9.0, "sum": 27.0}[reduction]
    assert_same(cell.run(nn.L1Loss(reduction=reduction))(x, y), cell.tensor(expected), what="loss")


@claim("loss-mse")
@covering(EDGES, shape=SHAPES, reduction=REDUCTIONS)
def test_mse(cell, rng, shape, reduction):
    def formula(x, y):
        return losses.reduced(losses.squared(x, y), reduction)

    assert_formula(cell, rng, nn.MSELoss(reduction=reduction), formula, both(cell, rng, shape))


@claim("loss-mse")
@every_layout
def test_mse_layouts(cell, rng, layout):
    assert_formula(cell, rng, nn.MSELoss(reduction="none"), losses.squared, both(cell, rng, (9, 5), layout))


@claim("loss-smooth-l1")
@covering(EDGES, shape=SHAPES, beta=[None, 0.3, 2], reduction=REDUCTIONS)
def test_smooth_l1(cell, rng, shape, reduction, beta):
    loss = nn.SmoothL1Loss(reduction=reduction) if beta is None else nn.SmoothL1Loss(reduction=reduction, beta=beta)

    def formula(x, y):
        return losses.reduced(losses.smooth_l1(x, y, 1.0 if beta is None else beta), reduction)

    assert_formula(cell, rng, loss, formula, both(cell, rng, shape))


@claim("loss-smooth-l1", "loss-huber")
@every_layout
def test_huber_layouts(cell, rng, layout):
    inputs = both(cell, rng, (9, 5), layout)
    assert_formula(
        cell, rng, nn.SmoothL1Loss(reduction="none", beta=0.5), lambda x, y: losses.smooth_l1(x, y, 0.5), inputs
    )
    assert_formula(cell, rng, nn.HuberLoss(reduction="none", delta=0.5), lambda x, y: losses.huber(x, y, 0.5), inputs)


@claim("loss-smooth-l1", "loss-huber")
def test_at_the_threshold_both_pieces_agree(cell):
    x, zero = cell.tensor([0.5, -0.5, 0.4375, 0.5625], requires_grad=True), cell.tensor(np.zeros(4))
    smooth = cell.run(nn.SmoothL1Loss(reduction="none", beta=0.5))(x, zero)
    assert_same(smooth, cell.tensor([0.25, 0.25, 0.4375**2, 0.3125]), what="smooth L1")
    (slope,) = torch.autograd.grad(smooth.sum(), x)
    assert_same(slope, cell.tensor([1.0, -1.0, 0.875, 1.0]), what="slope of smooth L1")
    huber = cell.run(nn.HuberLoss(reduction="none", delta=0.5))(x, zero)
    assert_same(huber, cell.tensor([0.125, 0.125, 0.4375**2 / 2, 0.15625]), what="Huber")
    (slope,) = torch.autograd.grad(huber.sum(), x)
    assert_same(slope, cell.tensor([0.5, -0.5, 0.4375, 0.5]), what="slope of Huber")


@claim("loss-smooth-l1-limits")
def test_smooth_l1_limits(cell, rng):
    x, y = both(cell, rng, (4, 5))

    def formula(x, y):
        return losses.absolute(x, y)

    assert_formula(cell, rng, nn.SmoothL1Loss(reduction="none", beta=0.0), formula, [x, y])
    assert_same(cell.run(nn.SmoothL1Loss(reduction="none", beta=math.inf))(x, y), 0 * x.detach(), what="infinite beta")
    with pytest.raises(RuntimeError, match="does not support negative values for beta"):
        nn.SmoothL1Loss(beta=-1e-3)(x, y)


@claim("loss-huber")
@covering(EDGES, shape=SHAPES, delta=[None, 0.3, 2], reduction=REDUCTIONS)
def test_huber(cell, rng, shape, reduction, delta):
    loss = nn.HuberLoss(reduction=reduction) if delta is None else nn.HuberLoss(reduction=reduction, delta=delta)

    def formula(x, y):
        return losses.reduced(losses.huber(x, y, 1.0 if delta is None else delta), reduction)

    assert_formula(cell, rng, loss, formula, both(cell, rng, shape))


@claim("loss-huber-is-scaled-smooth-l1")
@pytest.mark.parametrize("delta", [0.25, 1.0, 4.0])
def test_huber_is_delta_times_smooth_l1(cell, rng, delta):
    x, y = both(cell, rng, (31,))
    huber = cell.run(nn.HuberLoss(reduction="none", delta=delta))(x, y)
    smooth = cell.run(nn.SmoothL1Loss(reduction="none", beta=delta))(x, y)
    # A power of two: each piece rounds alike in both.
    bound = 4 * torch.finfo(cell.dtype).eps * to_numpy(huber)
    assert_within(smooth * delta, to_numpy(huber), bound, what="delta times smooth L1", because="3 roundings each")


@claim("loss-huber-positive-delta")
@pytest.mark.parametrize("delta", [0.0, -1.0, -1e-9])
def test_huber_refuses_delta(cell, delta):
    x = cell.tensor([1.0, 2.0])
    with pytest.raises(RuntimeError, match="does not support non-positive values for delta"):
        nn.HuberLoss(delta=delta)(x, x)


@claim("loss-poisson")
@covering(shape=[(), (17,), (3, 1, 5), (0,)], log_input={"log": True, "rate": False}, full=FULL, reduction=REDUCTIONS)
def test_poisson(cell, rng, shape, log_input, full, reduction):
    x = rng.normal(size=shape) if log_input else rng.uniform(0.2, 3.0, shape)
    y = rng.poisson(1.5, shape).astype(float) + (0.5 if full else 0.0)

    def formula(x, y):
        return losses.reduced(losses.poisson_nll(x, y, log_input, full, 1e-8), reduction)

    loss = nn.PoissonNLLLoss(log_input=log_input, full=full, reduction=reduction)
    assert_formula(cell, rng, loss, formula, [cell.tensor(x, requires_grad=True), cell.tensor(y)])


@claim("loss-poisson")
def test_stirling_starts_above_one(cell, rng):
    y = [0.0, 0.5, 1.0, 1.0078125, 1.5, 2.0, 20.0]
    x = cell.tensor(np.zeros(len(y)), requires_grad=True)
    loss = nn.PoissonNLLLoss(full=True, reduction="none")

    def formula(x, y):
        return losses.poisson_nll(x, y, True, True, 1e-8)

    assert_formula(cell, rng, loss, formula, [x, cell.tensor(y)])


@claim("loss-poisson-eps")
@pytest.mark.parametrize("eps", [None, 1e-3])
def test_poisson_eps(cell, rng, eps):
    more = {} if eps is None else {"eps": eps}
    loss = nn.PoissonNLLLoss(log_input=False, reduction="none", **more)

    def formula(x, y):
        return losses.poisson_nll(x, y, False, False, 1e-8 if eps is None else eps)

    assert_formula(cell, rng, loss, formula, [cell.tensor([0.0, 0.0, 1e-3]), cell.tensor([0.0, 1.0, 2.0])])


@claim("loss-gaussian")
@covering(shape=[(1,), (17,), (3, 5), (2, 1, 4), (0, 3)], full=FULL, reduction=REDUCTIONS)
def test_gaussian(cell, rng, shape, full, reduction):
    loss = nn.GaussianNLLLoss(full=full, reduction=reduction)

    def formula(x, y, v):
        return losses.reduced(losses.gaussian_nll(x, y, v, full, 1e-6), reduction)

    variance = cell.tensor(rng.uniform(0.3, 2.0, shape), requires_grad=True)
    assert_formula(cell, rng, loss, formula, [*both(cell, rng, shape), variance])


@claim("loss-gaussian")
def test_gaussian_extremes(cell, rng):
    variance = cell.tensor([0.03125, 2.0**-14, 1e4], requires_grad=True)
    x, y = cell.tensor([1.0, 0.5, 30.0]), cell.tensor([0.0, 0.5, -30.0])

    def formula(x, y, v):
        return losses.gaussian_nll(x, y, v, False, 1e-6)

    assert_formula(cell, rng, nn.GaussianNLLLoss(reduction="none"), formula, [x, y, variance])


@claim("loss-gaussian-clamp")
@pytest.mark.parametrize("eps", [1e-6, 0.25])
def test_gaussian_clamp(cell, rng, eps):
    values = [0.0, eps / 2, eps, 2 * eps]
    variance = cell.tensor(values, requires_grad=True)
    x, y = cell.tensor([1.0, -1.0, 0.5, 0.0]), cell.tensor(np.zeros(4))

    def formula(x, y, v):
        return losses.gaussian_nll(x, y, v, False, eps)

    assert_formula(cell, rng, nn.GaussianNLLLoss(eps=eps, reduction="none"), formula, [x, y, variance])
    assert_same(variance.detach(), cell.tensor(values), what="var")
    fixed = cell.tensor(values)
    cell.run(nn.GaussianNLLLoss(eps=eps))(x, y, fixed)
    assert_same(fixed, cell.tensor(values), what="var without a gradient")


VAR_SHAPES = {
    "the same": ((3, 5), (3, 5)),
    "last one": ((3, 5), (3, 1)),
    "one fewer": ((3, 5), (3,)),
    "one fewer of four": ((2, 3, 4, 5), (2, 3, 4)),
    "last one of four": ((2, 3, 4, 5), (2, 3, 4, 1)),
    "without batch": ((5,), (1,)),
}


def check_var(cell, rng, shape, var, reduction="none"):
    variance = cell.tensor(rng.uniform(0.3, 2.0, var), requires_grad=True)

    def formula(x, y, v):
        v = v.reshape(*var, 1) if len(var) < len(shape) else v
        return losses.gaussian_nll(x, y, v, False, 1e-6)

    assert_formula(cell, rng, nn.GaussianNLLLoss(reduction=reduction), formula, [*both(cell, rng, shape), variance])


@claim("loss-gaussian-var-shapes")
@pytest.mark.parametrize(("shape", "var"), VAR_SHAPES.values(), ids=VAR_SHAPES)
def test_gaussian_var_shapes(cell, rng, shape, var):
    check_var(cell, rng, shape, var)


@claim("loss-gaussian-var-shapes")
@pytest.mark.parametrize("var", [(2,), (3, 2), (4, 3, 5), (5,)], ids=str)
def test_gaussian_refuses_var(cell, rng, var):
    x, y = both(cell, rng, (3, 5))
    with pytest.raises(ValueError, match="var is of incorrect size"):
        cell.run(nn.GaussianNLLLoss())(x, y, cell.tensor(np.ones(var)))


@claim("loss-gaussian-any-dimension-one")
@pytest.mark.parametrize(("shape", "var"), [((3, 5), (1, 5)), ((2, 3, 4), (2, 1, 4)), ((2, 3, 4), (1, 3, 4))], ids=str)
def test_gaussian_broadcasts_var(cell, rng, shape, var):
    check_var(cell, rng, shape, var)


@claim("loss-gaussian-any-dimension-one")
def test_gaussian_var_is_a_number(cell, rng):
    x, y = both(cell, rng, (3, 5))

    def formula(x, y):
        return losses.gaussian_nll(x, y, losses.term(0.75), False, 1e-6)

    loss = nn.GaussianNLLLoss(reduction="none")
    assert_formula(cell, rng, lambda x, y: loss(x, y, 0.75), formula, [x, y])


@claim("loss-gaussian-negative-var")
@pytest.mark.parametrize("value", [-1.0, -1e-30])
def test_gaussian_refuses_a_negative_variance(cell, value):
    x = cell.tensor(np.ones((2, 3)))
    variance = cell.tensor([[1.0, 1.0, 1.0], [1.0, value, 1.0]])
    with pytest.raises(ValueError, match="var has negative entry"):
        nn.GaussianNLLLoss()(x, x, variance)


DEFAULTS = {
    "L1Loss": lambda x, y: losses.absolute(x, y),
    "MSELoss": lambda x, y: losses.squared(x, y),
    "SmoothL1Loss": lambda x, y: losses.smooth_l1(x, y, 1.0),
    "HuberLoss": lambda x, y: losses.huber(x, y, 1.0),
    "PoissonNLLLoss": lambda x, y: losses.poisson_nll(x, y, True, False, 1e-8),
}


@claim("loss-reduction-default")
@pytest.mark.parametrize("name", DEFAULTS)
def test_mean_by_default(cell, rng, name):
    inputs = both(cell, rng, (3, 5))
    assert_formula(cell, rng, getattr(nn, name)(), lambda x, y: DEFAULTS[name](x, y).mean(), inputs)


@claim("loss-reduction-default")
def test_gaussian_means_by_default(cell, rng):
    variance = cell.tensor(rng.uniform(0.3, 2.0, (3, 5)))

    def formula(x, y, v):
        return losses.gaussian_nll(x, y, v, False, 1e-6).mean()

    assert_formula(cell, rng, nn.GaussianNLLLoss(), formula, [*both(cell, rng, (3, 5)), variance])


LEGACY = [
    "L1Loss", "MSELoss", "SmoothL1Loss", "PoissonNLLLoss", "NLLLoss", "CrossEntropyLoss", "BCELoss", "KLDivLoss",
    "BCEWithLogitsLoss", "MultiMarginLoss", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "SoftMarginLoss",
    "HingeEmbeddingLoss", "CosineEmbeddingLoss", "MarginRankingLoss", "TripletMarginLoss",
]  # fmt: skip


def legacy(size_average, reduce):
    """What the two deprecated arguments mean, by their description."""
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


@claim("loss-legacy-reduction")
@pytest.mark.parametrize("name", LEGACY)
def test_legacy_arguments(name):
    for size_average in (None, True, False):
        for reduce in (None, True, False):
            if size_average is None and reduce is None:
                continue
            with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated"):
                loss = getattr(nn, name)(size_average=size_average, reduce=reduce, reduction="sum")
            assert loss.reduction == legacy(size_average, reduce), (size_average, reduce)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert getattr(nn, name)(reduction="sum").reduction == "sum"
        assert getattr(nn, name)().reduction == "mean"


@claim("loss-target-size-warns")
@pytest.mark.parametrize("name", ["L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss"])
def test_other_target_size_warns(cell, name):
    x, y = cell.tensor(np.ones((2, 1))), cell.tensor(np.zeros(2))
    with pytest.warns(UserWarning, match=r"Using a target size .*different to the input size"):
        getattr(nn, name)()(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(nn, name)()(x, y.view(2, 1))


SPECIAL = {
    # x, y: |x - y|, (x - y)^2, smooth L1, Huber with delta 2
    "nan": ([math.nan, 1.0], [1.0, math.nan], [math.nan] * 2, [math.nan] * 2, [math.nan] * 2, [math.nan] * 2),
    "inf": ([math.inf, -math.inf], [1.0, 1.0], [math.inf] * 2, [math.inf] * 2, [math.inf] * 2, [math.inf] * 2),
    "inf less inf": ([math.inf] * 9, [math.inf] * 9, [math.nan] * 9, [math.nan] * 9, [math.nan] * 9, [math.nan] * 9),
    "inf against -inf": ([math.inf], [-math.inf], [math.inf], [math.inf], [math.inf], [math.inf]),
    "equal": ([3.0, -0.0], [3.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]),
}


@claim("loss-special-values")
@pytest.mark.parametrize(("x", "y", "absolute", "squared", "smooth", "huber"), SPECIAL.values(), ids=SPECIAL)
def test_special_values(cell, x, y, absolute, squared, smooth, huber):
    x, y = cell.tensor(x), cell.tensor(y)
    assert_same(cell.run(nn.L1Loss(reduction="none"))(x, y), cell.tensor(absolute), what="L1Loss")
    assert_same(cell.run(nn.MSELoss(reduction="none"))(x, y), cell.tensor(squared), what="MSELoss")
    assert_same(cell.run(nn.SmoothL1Loss(reduction="none"))(x, y), cell.tensor(smooth), what="SmoothL1Loss")
    assert_same(cell.run(nn.HuberLoss(reduction="none", delta=2.0))(x, y), cell.tensor(huber), what="HuberLoss")
