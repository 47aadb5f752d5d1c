"""Negative log likelihood and cross entropy, with class indices and with probabilities."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from test_losses.classification.classes import (
    EDGES,
    INPUTS,
    WEIGHTED,
    check_indices,
    class_axis,
    class_weights,
    reduction_of,
    targets,
)
from test_losses.common import REDUCTIONS, every_layout, normal
from torchclaims import claim
from torchclaims.comparison import assert_formula
from torchclaims.covering import covering
from torchclaims.reference import losses
from torchclaims.tolerance import assert_same


@claim("loss-nll")
@covering(EDGES, shape=INPUTS, weighted=WEIGHTED, reduction=REDUCTIONS)
def test_nll(cell, rng, shape, weighted, reduction):
    y, classes = targets(cell, rng, shape)
    weight, weights = class_weights(cell, rng, shape, weighted)

    def formula(x):
        return losses.negative_log_likelihood(x, classes, weights, -100, reduction)

    loss = nn.NLLLoss(weight=weight, reduction=reduction)
    check_indices(cell, rng, loss, formula, normal(cell, rng, shape), y)


@claim("loss-cross-entropy")
@every_layout
@pytest.mark.parametrize("shape", [(9, 5), (3, 5, 7), (3, 5, 2, 4)], ids=str)
def test_cross_entropy_layouts(cell, rng, shape, layout):
    y, classes = targets(cell, rng, shape)

    def formula(x):
        return losses.cross_entropy(x, classes, None, -100, 0.0, "mean")

    check_indices(cell, rng, nn.CrossEntropyLoss(), formula, normal(cell, rng, shape, layout), y)


@claim("loss-nll-layouts")
@every_layout
@pytest.mark.parametrize("shape", [(9, 5), (3, 5, 7), (3, 5, 2, 4)], ids=str)
def test_nll_layouts(cell, rng, shape, layout):
    y, classes = targets(cell, rng, shape)

    def formula(x):
        return losses.negative_log_likelihood(x, classes, None, -100, "mean")

    try:
        check_indices(cell, rng, nn.NLLLoss(), formula, normal(cell, rng, shape, layout), y)
    except RuntimeError as error:
        raise AssertionError(f"expected the gradient of the formula, seen {error}") from None


@claim("loss-nll-ignore-index")
@covering(shape=[(9, 4), (2, 4, 3, 5)], ignored=[None, 2, -1, 255], weighted=WEIGHTED, reduction=REDUCTIONS)
def test_nll_ignores(cell, rng, shape, ignored, weighted, reduction):
    _, classes = targets(cell, rng, shape)
    index = -100 if ignored is None else ignored
    classes.flat[::3] = index
    weight, weights = class_weights(cell, rng, shape, weighted)
    more = {} if ignored is None else {"ignore_index": ignored}
    y = cell.tensor(classes, dtype=torch.int64)
    x = normal(cell, rng, shape)

    def formula(x):
        return losses.negative_log_likelihood(x, classes, weights, index, reduction)

    check_indices(cell, rng, nn.NLLLoss(weight=weight, reduction=reduction, **more), formula, x, y)

    def entropy(x):
        return losses.cross_entropy(x, classes, weights, index, 0.0, reduction)

    check_indices(cell, rng, nn.CrossEntropyLoss(weight=weight, reduction=reduction, **more), entropy, x, y)


@claim("loss-nll-ignore-index")
@pytest.mark.parametrize("layer", [nn.NLLLoss, nn.CrossEntropyLoss])
@pytest.mark.parametrize(("shape", "targets"), [((2,), ()), ((3, 2), (3,)), ((3, 2, 4), (3, 4))], ids=str)
def test_all_ignored(cell, layer, shape, targets):
    x = cell.tensor(np.ones(shape), requires_grad=True)
    y = torch.full(targets, -100, device=cell.device.name)
    assert_same(cell.run(layer(reduction="sum"))(x, y), cell.tensor(0.0), what="sum")
    mean = cell.run(layer())(x, y)
    assert_same(mean, cell.tensor(math.nan), what="mean over no weight")
    mean.backward()
    assert_same(x.grad, torch.zeros_like(x), what="gradient")


NLL_ERRORS = {
    "class too large": ((3, 4), [0, 4, 1], None, (IndexError, RuntimeError), r"Target 4 is out of bounds"),
    "negative class": ((3, 4), [0, -1, 1], None, (IndexError, RuntimeError), r"Target -1 is out of bounds"),
    "batch sizes differ": ((3, 4), [0, 1], None, ValueError, r"Expected input batch_size \(3\) to match target"),
    "pixels differ": ((1, 4, 2), [[0, 1, 2]], None, (ValueError, RuntimeError), r"(?i)expected target|size mismatch"),
    "weight too short": ((3, 4), [0, 1, 2], 3, RuntimeError, r"weight tensor should be defined either for all"),
}


@claim("loss-nll-errors")
@pytest.mark.parametrize(("shape", "y", "weights", "error", "message"), NLL_ERRORS.values(), ids=NLL_ERRORS)
def test_nll_errors(cell, shape, y, weights, error, message):
    if not cell.device.is_cpu and "out of bounds" in message:
        pytest.skip("does not apply: on accelerators this is an asynchronous assertion, after which nothing works")
    weight = None if weights is None else cell.tensor(np.ones(weights))
    with pytest.raises(error, match=message):
        nn.NLLLoss(weight=weight)(cell.tensor(np.ones(shape)), cell.tensor(y, dtype=torch.int64))


@claim("loss-cross-entropy")
@covering(EDGES, shape=INPUTS, weighted=WEIGHTED, reduction=REDUCTIONS)
def test_cross_entropy(cell, rng, shape, weighted, reduction):
    y, classes = targets(cell, rng, shape)
    weight, weights = class_weights(cell, rng, shape, weighted)

    def formula(x):
        return losses.cross_entropy(x, classes, weights, -100, 0.0, reduction)

    loss = nn.CrossEntropyLoss(weight=weight, reduction=reduction)
    check_indices(cell, rng, loss, formula, normal(cell, rng, shape, scale=2.0), y)


def probabilities(rng, shape):
    powers = np.exp(rng.normal(size=shape))
    return powers / powers.sum(class_axis(shape), keepdims=True)


@claim("loss-cross-entropy-soft")
@covering(EDGES, shape=INPUTS, weighted=WEIGHTED, reduction=REDUCTIONS)
def test_soft_cross_entropy(cell, rng, shape, weighted, reduction):
    weight, weights = class_weights(cell, rng, shape, weighted)
    y = cell.tensor(probabilities(rng, shape), requires_grad=True)

    def formula(x, y):
        return losses.soft_cross_entropy(x, y, weights, 0.0, reduction_of(shape, reduction))

    loss = nn.CrossEntropyLoss(weight=weight, reduction=reduction)
    assert_formula(cell, rng, loss, formula, [normal(cell, rng, shape), y])


@claim("loss-cross-entropy-smoothing")
@covering(["(5,)"], shape=[(5,), (9, 5), (2, 3, 4, 3)], smoothing=[0.1, 1.0], weighted=WEIGHTED, reduction=REDUCTIONS)
def test_smoothing(cell, rng, shape, smoothing, weighted, reduction):
    y, classes = targets(cell, rng, shape)
    if y.dim():
        y.view(-1)[1] = -100
        classes.flat[1] = -100
    weight, weights = class_weights(cell, rng, shape, weighted)
    loss = nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing, reduction=reduction)

    def formula(x):
        return losses.cross_entropy(x, classes, weights, -100, smoothing, reduction)

    x = normal(cell, rng, shape)
    check_indices(cell, rng, loss, formula, x, y)

    def soft(x, y):
        return losses.soft_cross_entropy(x, y, weights, smoothing, reduction_of(shape, reduction))

    assert_formula(cell, rng, loss, soft, [x, cell.tensor(probabilities(rng, shape), requires_grad=True)])


@claim("loss-cross-entropy-extreme")
def test_extreme_logits(cell):
    x = cell.tensor([[6e4, 0.0], [-6e4, 0.0], [-6e4, -6e4], [30.0, 29.0]], requires_grad=True)
    y = cell.tensor([0, 0, 1, 1], dtype=torch.int64)
    loss = cell.run(nn.CrossEntropyLoss(reduction="none"))(x, y)
    seen = loss.detach().double().cpu()
    expected = torch.tensor([0.0, cell.tensor(6e4).item(), math.log(2), 1 + math.log(1 + math.exp(-1))])
    unit = torch.finfo(cell.dtype).eps
    assert (
        (seen - expected.double()).abs().le(8 * max(unit, 6e-8) * (1 + expected.double() * (expected < 100))).all()
    ), seen
    (slope,) = torch.autograd.grad(loss.sum(), x)
    assert slope.isfinite().all()
    assert_same(slope[:2], cell.tensor([[0.0, 0.0], [-1.0, 1.0]]), what="slope")


@claim("loss-cross-entropy-extreme")
def test_impossible_class(cell):
    x = cell.tensor([[0.0, -math.inf, 0.0]])
    loss = cell.run(nn.CrossEntropyLoss(reduction="none"))
    possible = loss(x, cell.tensor([0], dtype=torch.int64)).item()
    assert abs(possible - math.log(2)) <= 4 * torch.finfo(cell.dtype).eps
    assert loss(x, cell.tensor([1], dtype=torch.int64)).item() == math.inf


@claim("loss-cross-entropy-unvalidated")
def test_arbitrary_probabilities(cell, rng):
    y = cell.tensor([[0.71, 0.44, 2.03], [-1.05, -0.25, -0.36]])

    def formula(x, y):
        return losses.soft_cross_entropy(x, y, None, 0.0, "mean")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_formula(cell, rng, nn.CrossEntropyLoss(), formula, [normal(cell, rng, (2, 3)), y])


@claim("loss-cross-entropy-long")
@pytest.mark.parametrize("dtype", ["int32", "int16", "uint8"])
def test_indices_must_be_long(cell, dtype):
    x, y = cell.tensor(np.ones((3, 5))), torch.tensor([0, 1, 2], dtype=getattr(torch, dtype), device=cell.device.name)
    try:
        seen = nn.CrossEntropyLoss()(x, y)
    except RuntimeError as error:
        if "Long" not in str(error):
            raise
    else:
        raise AssertionError(f"expected a RuntimeError, seen a loss of {seen.item():.4f} for {dtype}")


ENTROPY_ERRORS = {
    "class too large": ({}, [[0.0, 0.0]], [2], (IndexError, RuntimeError), "Target 2 is out of bounds"),
    "integers as probabilities": ({}, [[0.0, 0.0]], [[1, 0]], RuntimeError, "Expected floating point type for target"),
    "ignore_index": ({"ignore_index": 1}, [[0.0, 0.0]], [[1.0, 0.0]], RuntimeError, "ignore_index is not supported"),
    "smoothing": ({"label_smoothing": 1.5}, [[0.0, 0.0]], [1], RuntimeError, r"label_smoothing must be between 0"),
}


@claim("loss-cross-entropy-errors")
@pytest.mark.parametrize(("options", "x", "y", "error", "message"), ENTROPY_ERRORS.values(), ids=ENTROPY_ERRORS)
def test_cross_entropy_errors(cell, options, x, y, error, message):
    if not cell.device.is_cpu and "out of bounds" in message:
        pytest.skip("does not apply: on accelerators this is an asynchronous assertion, after which nothing works")
    y = np.asarray(y)
    target = cell.tensor(y, dtype=torch.int64 if y.dtype.kind == "i" else cell.dtype)
    with pytest.raises(error, match=message):
        nn.CrossEntropyLoss(**options)(cell.tensor(x), target)
