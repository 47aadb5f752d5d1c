"""Binary cross entropy, from probabilities and from logits, and the Kullback-Leibler divergence."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from test_losses.classification.classes import (
    BINARY,
    WEIGHTED,
)
from test_losses.common import REDUCTIONS, every_layout, normal
from torchclaims import claim
from torchclaims.comparison import assert_formula, laid_out
from torchclaims.covering import covering
from torchclaims.reference import losses
from torchclaims.tolerance import assert_same


@claim("loss-bce")
@covering(["scalar", "empty"], shape=BINARY, weighted=WEIGHTED, reduction=REDUCTIONS)
def test_bce(cell, rng, shape, weighted, reduction):
    weights = rng.integers(1, 16, shape) / 8 if weighted else 1.0
    loss = nn.BCELoss(weight=cell.tensor(weights) if weighted else None, reduction=reduction)

    def formula(x, y):
        return losses.reduced(losses.binary_cross_entropy(x, y, weights), reduction)

    x = cell.tensor(rng.uniform(0.1, 0.9, shape), requires_grad=True)
    y = cell.tensor(rng.uniform(0.0, 1.0, shape))
    assert_formula(cell, rng, loss, formula, [x, y])


@claim("loss-bce")
@every_layout
def test_bce_layouts(cell, rng, layout):
    x = laid_out(cell, rng.uniform(0.1, 0.9, (9, 5)), layout, requires_grad=True)

    def formula(x, y):
        return losses.binary_cross_entropy(x, y, 1.0)

    assert_formula(cell, rng, nn.BCELoss(reduction="none"), formula, [x, cell.tensor(rng.integers(0, 2, (9, 5)))])


@claim("loss-bce")
def test_bce_weight_broadcasts(cell, rng):
    weights = np.array([0.5, 2.0, 0.125])
    x = cell.tensor(rng.uniform(0.1, 0.9, (4, 3)), requires_grad=True)

    def formula(x, y):
        return losses.binary_cross_entropy(x, y, weights)

    y = cell.tensor(rng.uniform(size=(4, 3)))
    assert_formula(cell, rng, nn.BCELoss(weight=cell.tensor(weights), reduction="none"), formula, [x, y])


@claim("loss-bce-clamp")
def test_bce_clamps(cell):
    x = cell.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], requires_grad=True)
    y = cell.tensor([0.0, 0.25, 1.0, 0.0, 0.25, 1.0])
    loss = cell.run(nn.BCELoss(reduction="none"))(x, y)
    assert_same(loss, cell.tensor([0.0, 25.0, 100.0, 100.0, 75.0, 0.0]), what="loss at 0 and 1")
    if cell.dtype != torch.float16:  # whose largest number is less than what the clamped slope is
        (slope,) = torch.autograd.grad(loss.sum(), x)
        assert slope.isfinite().all(), slope


@claim("loss-bce-weight-per-sample")
@pytest.mark.parametrize("shape", [(3, 2), (3, 3)], ids=str)
def test_bce_weight_per_sample(cell, rng, shape):
    weights = np.array([0.5, 2.0, 0.125])
    x, y = cell.tensor(rng.uniform(0.1, 0.9, shape)), cell.tensor(rng.uniform(size=shape))
    loss = nn.BCELoss(weight=cell.tensor(weights), reduction="none")
    try:
        seen = cell.run(loss)(x, y)
    except RuntimeError as error:
        raise AssertionError(f"expected a weight for each sample, seen {error}") from None
    alone = nn.BCELoss(reduction="none")(x, y) * cell.tensor(weights)[:, None]
    assert torch.allclose(seen, alone), "expected a weight for each row, seen one for each column"


@claim("loss-bce-errors")
def test_bce_errors(cell):
    with pytest.raises(ValueError, match="Using a target size"):
        nn.BCELoss()(cell.tensor(np.full((2, 1), 0.5)), cell.tensor(np.ones(2)))


LOGIT_WEIGHTS = {
    # shape, weight, pos_weight
    "neither": ((3, 5), None, None),
    "weight": ((3, 5), (3, 5), None),
    "weight a row": ((3, 5), (3, 1), None),
    "pos_weight a class": ((3, 5), None, (5,)),
    "both": ((3, 5), (5,), (3, 5)),
    "images": ((2, 3, 2, 4), None, (3, 1, 1)),
    "each image": ((2, 3, 2, 4), None, (3, 2, 4)),
    "all of them": ((2, 3, 2, 4), (2, 1, 1, 1), (2, 3, 2, 4)),
    "scalar": ((), None, None),
    "vector": ((17,), None, None),
    "empty": ((0, 2), None, None),
}


@claim("loss-bce-logits")
@covering(["empty", "both"], shape__weight__positive=LOGIT_WEIGHTS, reduction=REDUCTIONS)
def test_bce_with_logits(cell, rng, shape, weight, positive, reduction):
    weights = 1.0 if weight is None else rng.integers(1, 16, weight) / 8
    # Where pos_weight is 1, or y is, kernels take a slope as the difference of what is equal, or nearly so.
    positives = 1.0 if positive is None else rng.choice([1, 2, 3, *range(5, 16)], positive) / 4
    loss = nn.BCEWithLogitsLoss(
        weight=None if weight is None else cell.tensor(weights),
        pos_weight=None if positive is None else cell.tensor(positives),
        reduction=reduction,
    )

    def formula(x, y):
        return losses.reduced(losses.binary_cross_entropy_with_logits(x, y, weights, positives), reduction)

    y = cell.tensor(rng.uniform(0, 0.75, shape), requires_grad=True)
    # Kernels take the slope as a difference of pos_weight * y and a sigmoid near 1, of up to 4 each.
    assert_formula(cell, rng, loss, formula, [normal(cell, rng, shape, scale=2.0), y], orders=32)


@claim("loss-bce-logits-stable")
@pytest.mark.parametrize("positive", [None, 3.0])
def test_bce_with_logits_extremes(cell, positive):
    x = cell.tensor([6e4, 6e4, -6e4, -6e4, 0.0], requires_grad=True)
    y = cell.tensor([1.0, 0.0, 0.0, 1.0, 1.0])
    pos_weight = None if positive is None else cell.tensor([positive])
    loss = cell.run(nn.BCEWithLogitsLoss(reduction="none", pos_weight=pos_weight))(x, y)
    p, far = positive or 1.0, cell.tensor(6e4)
    assert_same(loss[:3], torch.stack([0 * far, far, 0 * far]), what="loss of extreme logits")
    assert_same(loss[3], p * far, what="loss of a missed positive")
    assert abs(loss[4].item() - p * math.log(2)) <= 2 * p * torch.finfo(cell.dtype).eps
    (slope,) = torch.autograd.grad(loss.sum(), x)
    assert_same(slope, cell.tensor([0.0, 1.0, 0.0, -p, -p / 2]), what="slope")


@claim("loss-bce-logits-example")
def test_bce_with_logits_example(cell):
    target, output = cell.tensor(np.ones((10, 64))), cell.tensor(np.full((10, 64), 1.5))
    loss = nn.BCEWithLogitsLoss(pos_weight=cell.tensor(np.ones(64)))(output, target)
    assert abs(loss.item() - math.log(1 + math.exp(-1.5))) < 1e-6
    y = cell.tensor([1.0] * 100 + [0.0] * 300)
    zero = torch.zeros_like(y)
    weighted = nn.BCEWithLogitsLoss(pos_weight=cell.tensor(3.0), reduction="none")(zero, y)
    assert abs(weighted[:100].sum().item() - weighted[100:].sum().item()) < 1e-3


@claim("loss-bce-logits-errors")
def test_bce_with_logits_errors(cell):
    with pytest.raises(ValueError, match="must be the same as input size"):
        nn.BCEWithLogitsLoss()(cell.tensor(np.ones((2, 1))), cell.tensor(np.ones(2)))


@claim("loss-kl")
@covering(shape=BINARY, log_target={"probabilities": False, "logarithms": True}, reduction=["none", "sum"])
def test_kl(cell, rng, shape, log_target, reduction):
    y = np.log(rng.uniform(0.1, 0.9, shape)) if log_target else rng.uniform(0.1, 0.9, shape)

    def formula(x, y):
        return losses.reduced(losses.kl_divergence(x, y, log_target), reduction)

    loss = nn.KLDivLoss(reduction=reduction, log_target=log_target)
    assert_formula(cell, rng, loss, formula, [normal(cell, rng, shape), cell.tensor(y, requires_grad=True)])


@claim("loss-kl")
def test_kl_of_nothing(cell):
    loss = cell.run(nn.KLDivLoss(reduction="none"))(cell.tensor([-1.0, -50.0]), cell.tensor([0.0, 0.0]))
    assert_same(loss, cell.tensor([0.0, 0.0]), what="divergence where the target is 0")


@claim("loss-kl")
@every_layout
def test_kl_layouts(cell, rng, layout):
    y = cell.tensor(rng.uniform(0.1, 0.9, (9, 5)))

    def formula(x, y):
        return losses.kl_divergence(x, y, False)

    assert_formula(cell, rng, nn.KLDivLoss(reduction="none"), formula, [normal(cell, rng, (9, 5), layout), y])


@claim("loss-kl-batchmean")
@pytest.mark.parametrize("log_target", [False, True], ids=["probabilities", "logarithms"])
@pytest.mark.parametrize("shape", [(3, 5), (7,), (2, 3, 4)], ids=str)
def test_kl_batchmean(cell, rng, shape, log_target):
    y = np.log(rng.uniform(0.1, 0.9, shape)) if log_target else rng.uniform(0.1, 0.9, shape)

    def formula(x, y):
        return losses.kl_divergence(x, y, log_target).sum() / float(shape[0])

    loss = nn.KLDivLoss(reduction="batchmean", log_target=log_target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_formula(cell, rng, loss, formula, [normal(cell, rng, shape), cell.tensor(y)])


@claim("loss-kl-mean-warns")
def test_kl_mean(cell, rng):
    inputs = [normal(cell, rng, (3, 5)), cell.tensor(rng.uniform(0.1, 0.9, (3, 5)))]
    with pytest.warns(UserWarning, match="'batchmean' divides only by the batch size"):
        assert_formula(cell, rng, nn.KLDivLoss(), lambda x, y: losses.kl_divergence(x, y, False).mean(), inputs)
