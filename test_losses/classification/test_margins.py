"""Losses with margins between classes."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from test_losses.classification.classes import (
    BINARY,
    WEIGHTED,
    check_indices,
    class_weights,
    targets,
)
from test_losses.common import REDUCTIONS, normal, signs
from torchclaims import claim
from torchclaims.comparison import assert_formula, off_bends
from torchclaims.covering import covering
from torchclaims.reference import losses
from torchclaims.tolerance import assert_same

MARGINS = {
    "defaults": {},
    "squared": {"p": 2},
    "margin": {"margin": 0.5},
    "squared with margin": {"p": 2, "margin": 2.0},
    "negative margin": {"margin": -0.25},
}


@claim("loss-multi-margin")
@covering(["(5,)"], shape=[(5,), (9, 4), (2, 17), (3, 1)], options=MARGINS, weighted=WEIGHTED, reduction=REDUCTIONS)
def test_multi_margin(cell, rng, shape, options, weighted, reduction):
    y, classes = targets(cell, rng, shape)
    weight, weights = class_weights(cell, rng, shape, weighted)
    loss = nn.MultiMarginLoss(weight=weight, reduction=reduction, **options)

    def formula(x):
        return losses.reduced(
            losses.multi_margin(x, classes, options.get("p", 1), options.get("margin", 1.0), weights), reduction
        )

    (x,) = off_bends(cell, formula, lambda: [normal(cell, rng, shape)])
    check_indices(cell, rng, loss, formula, x, y)


@claim("loss-multi-margin", "loss-multilabel-margin")
def test_margin_examples(cell):
    x = cell.tensor([[0.1, 0.2, 0.4, 0.8]])
    single = cell.run(nn.MultiMarginLoss())(x, torch.tensor([3], device=cell.device.name))
    assert abs(single.item() - 0.25 * (0.3 + 0.4 + 0.6)) < 1e-6
    several = cell.run(nn.MultiLabelMarginLoss())(x, torch.tensor([[3, 0, -1, 1]], device=cell.device.name))
    assert abs(several.item() - 0.25 * (1.1 + 1.3 + 0.4 + 0.6)) < 1e-6


@claim("loss-multi-margin-errors")
def test_multi_margin_errors(cell):
    with pytest.raises(ValueError, match="only p == 1 and p == 2 supported"):
        nn.MultiMarginLoss(p=3)
    with pytest.raises((ValueError, AssertionError), match=r"weight|^$"):
        nn.MultiMarginLoss(weight=torch.ones(2, 2))
    if cell.device.is_cpu:
        with pytest.raises(RuntimeError, match="target out of range"):
            nn.MultiMarginLoss()(cell.tensor(np.ones((2, 4))), torch.tensor([1, 4]))


@claim("loss-multi-margin-empty")
def test_multi_margin_of_nothing(cell):
    dirt = [cell.tensor(np.full(1, 7.0)) for _ in range(256)]
    del dirt  # so that memory that is handed out uninitialised holds no 0
    loss = cell.run(nn.MultiMarginLoss(reduction="sum"))
    y = torch.zeros(0, dtype=torch.int64, device=cell.device.name)
    seen = [loss(cell.tensor(np.ones((0, 4))), y).item() for _ in range(200)]
    assert not any(seen), "expected 0 for the sum of nothing, seen other numbers"


LABELS = {
    "one": [[3, -1, -1, -1]],
    "several": [[3, 0, -1, -1], [1, -1, -1, -1]],
    "all": [[2, 1, 0, 3]],
    "none": [[-1, -1, -1, -1]],
    "more after the padding": [[3, 0, -1, 1], [-1, 2, 1, 0]],
    "unbatched": [1, 2, -1, 0],
}


@claim("loss-multilabel-margin")
@covering(["unbatched", "none"], labels=LABELS, reduction=REDUCTIONS)
def test_multilabel_margin(cell, rng, labels, reduction):
    y = np.array(labels)

    def formula(x):
        return losses.reduced(losses.multilabel_margin(x, y), reduction)

    loss = nn.MultiLabelMarginLoss(reduction=reduction)
    (x,) = off_bends(cell, formula, lambda: [normal(cell, rng, y.shape)])
    check_indices(cell, rng, loss, formula, x, cell.tensor(y, dtype=torch.int64))


@claim("loss-multilabel-margin-after-padding")
@pytest.mark.parametrize("after", [1, 99])
def test_targets_after_the_padding(cell, rng, after):
    x = normal(cell, rng, (1, 4), requires_grad=False)
    plain, more = (cell.tensor([[3, 0, -1, last]], dtype=torch.int64) for last in (-1, after))
    try:
        seen = cell.run(nn.MultiLabelMarginLoss())(x, more)
    except RuntimeError as error:
        raise AssertionError(f"expected the loss of [3, 0], seen {error}") from None
    assert_same(seen, cell.run(nn.MultiLabelMarginLoss())(x, plain), what="loss")


@claim("loss-multilabel-soft-margin")
@covering(shape=[(9, 4), (2, 17), (3, 1)], weighted=WEIGHTED, reduction=REDUCTIONS)
def test_multilabel_soft_margin(cell, rng, shape, weighted, reduction):
    weight, weights = class_weights(cell, rng, shape, weighted)
    loss = nn.MultiLabelSoftMarginLoss(weight=weight, reduction=reduction)
    weights = 1.0 if weights is None else weights

    def formula(x, y):
        return losses.reduced(losses.multilabel_soft_margin(x, y, weights), reduction)

    y = cell.tensor(rng.integers(0, 2, shape))
    assert_formula(cell, rng, loss, formula, [normal(cell, rng, shape), y])


@claim("loss-multilabel-soft-margin")
def test_multilabel_soft_margin_extremes(cell):
    x, y = cell.tensor([[6e4, -6e4, 6e4, -6e4]]), cell.tensor([[1.0, 0.0, 0.0, 0.0]])
    loss = cell.run(nn.MultiLabelSoftMarginLoss(reduction="none"))(x, y)
    assert_same(loss, cell.tensor([6e4]) / 4, what="loss of extreme scores")


@claim("loss-soft-margin")
@covering(["scalar", "empty"], shape=BINARY, reduction=REDUCTIONS)
def test_soft_margin(cell, rng, shape, reduction):
    def formula(x, y):
        return losses.reduced(losses.soft_margin(x, y), reduction)

    inputs = [normal(cell, rng, shape), signs(cell, rng, shape)]
    assert_formula(cell, rng, nn.SoftMarginLoss(reduction=reduction), formula, inputs)


@claim("loss-soft-margin")
def test_soft_margin_on_the_right_side(cell):
    x, y = cell.tensor([1e4, -1e4, 0.0]), cell.tensor([1.0, -1.0, 1.0])
    loss = cell.run(nn.SoftMarginLoss(reduction="none"))(x, y)
    assert_same(loss[:2], cell.tensor([0.0, 0.0]), what="loss on the right side")
    assert abs(loss[2].item() - math.log(2)) <= torch.finfo(cell.dtype).eps


@claim("loss-soft-margin-wrong-side")
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_soft_margin_far_on_the_wrong_side(cell, sign):
    x, y = cell.tensor([-1000.0 * sign], requires_grad=True), cell.tensor([sign])
    loss = cell.run(nn.SoftMarginLoss())(x, y)
    (slope,) = torch.autograd.grad(loss, x)
    assert loss.item() == 1000.0, f"expected 1000, seen {loss.item()} with slope {slope.item()}"
    assert slope.item() == -sign, f"expected slope {-sign}, seen {slope.item()}"
