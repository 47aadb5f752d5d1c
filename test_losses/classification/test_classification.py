"""Losses of scores against classes."""

import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from test_losses.common import REDUCTIONS, every_layout, normal, signs
from torchclaims import claim
from torchclaims.comparison import assert_formula, laid_out
from torchclaims.covering import covering
from torchclaims.reference import losses
from torchclaims.tolerance import assert_same

# Unbatched, batches around whole vectors, K dimensions, one class, no sample.
INPUTS = {
    "unbatched": (5,),
    "batch": (9, 5),
    "one class": (3, 1),
    "many classes": (2, 33),
    "one sample": (1, 4),
    "one dimension": (2, 5, 7),
    "pixels": (2, 3, 4, 3),
    "one column": (3, 4, 5, 1),
    "three dimensions": (2, 3, 2, 1, 3),
    "empty": (0, 4),
}
# Where a reduction has a case of its own.
EDGES = ("unbatched", "empty")
WEIGHTED = {"unweighted": False, "weighted": True}


def class_axis(shape):
    return min(1, len(shape) - 1)


def targets(cell, rng, shape):
    """Class indices for an input of ``shape``, as a tensor and as an array."""
    axis = class_axis(shape)
    y = rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
    return cell.tensor(y, dtype=torch.int64), np.asarray(y)


def class_weights(cell, rng, shape, weighted):
    """A weight for each class, or None, as a tensor and as the array of what it holds."""
    if not weighted:
        return None, None
    values = rng.integers(1, 16, shape[class_axis(shape)]) / 8
    return cell.tensor(values), values


def check_indices(cell, rng, loss, formula, x, y):
    assert_formula(cell, rng, lambda x: loss(x, y), formula, [x])


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
def test_all_ignored(cell):
    x = cell.tensor(np.ones((3, 2)), requires_grad=True)
    y = torch.full((3,), -100, device=cell.device.name)
    assert_same(cell.run(nn.NLLLoss(reduction="sum"))(x, y), cell.tensor(0.0), what="sum")
    mean = cell.run(nn.NLLLoss())(x, y)
    assert_same(mean, cell.tensor(math.nan), what="mean over no weight")


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
        pytest.skip("on accelerators a class out of range is an asynchronous assertion, after which none works")
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


def reduction_of(shape, reduction):
    """The mean of a single sample is its sum: that of no axis."""
    return "sum" if len(shape) == 1 and reduction == "mean" else reduction


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
        pytest.skip("on accelerators a class out of range is an asynchronous assertion, after which none works")
    y = np.asarray(y)
    target = cell.tensor(y, dtype=torch.int64 if y.dtype.kind == "i" else cell.dtype)
    with pytest.raises(error, match=message):
        nn.CrossEntropyLoss(**options)(cell.tensor(x), target)


BINARY = {"scalar": (), "vector": (17,), "matrix": (3, 5), "four axes": (2, 3, 1, 4), "empty": (0, 2)}


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
        seen = loss(x, y)
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
    positives = 1.0 if positive is None else rng.integers(1, 16, positive) / 4
    loss = nn.BCEWithLogitsLoss(
        weight=None if weight is None else cell.tensor(weights),
        pos_weight=None if positive is None else cell.tensor(positives),
        reduction=reduction,
    )

    def formula(x, y):
        return losses.reduced(losses.binary_cross_entropy_with_logits(x, y, weights, positives), reduction)

    y = cell.tensor(rng.uniform(size=shape))
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

    check_indices(cell, rng, loss, formula, normal(cell, rng, shape), y)


@claim("loss-multi-margin", "loss-multilabel-margin")
def test_margin_examples(cell):
    x = cell.tensor([[0.1, 0.2, 0.4, 0.8]])
    single = nn.MultiMarginLoss()(x, torch.tensor([3], device=cell.device.name))
    assert abs(single.item() - 0.25 * (0.3 + 0.4 + 0.6)) < 1e-6
    several = nn.MultiLabelMarginLoss()(x, torch.tensor([[3, 0, -1, 1]], device=cell.device.name))
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
    loss = nn.MultiMarginLoss(reduction="sum")
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
    check_indices(cell, rng, loss, formula, normal(cell, rng, y.shape), cell.tensor(y, dtype=torch.int64))


@claim("loss-multilabel-margin-after-padding")
@pytest.mark.parametrize("after", [1, 99])
def test_targets_after_the_padding(cell, rng, after):
    x = normal(cell, rng, (1, 4), requires_grad=False)
    plain, more = (cell.tensor([[3, 0, -1, last]], dtype=torch.int64) for last in (-1, after))
    try:
        seen = nn.MultiLabelMarginLoss()(x, more)
    except RuntimeError as error:
        raise AssertionError(f"expected the loss of [3, 0], seen {error}") from None
    assert_same(seen, nn.MultiLabelMarginLoss()(x, plain), what="loss")


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
    loss = nn.SoftMarginLoss()(x, y)
    (slope,) = torch.autograd.grad(loss, x)
    assert loss.item() == 1000.0, f"expected 1000, seen {loss.item()} with slope {slope.item()}"
    assert slope.item() == -sign, f"expected slope {-sign}, seen {slope.item()}"


def one_column(number):
    return torch.full((2, 2), float(number))


REDUCED = {
    "l1_loss": lambda r: F.l1_loss(one_column(1), one_column(0), reduction=r),
    "nll_loss": lambda r: F.nll_loss(one_column(1), torch.tensor([0, 1]), reduction=r),
    "cross_entropy": lambda r: F.cross_entropy(one_column(1), torch.tensor([0, 1]), reduction=r),
    "poisson_nll_loss": lambda r: F.poisson_nll_loss(one_column(1), one_column(0), reduction=r),
    "gaussian_nll_loss": lambda r: F.gaussian_nll_loss(one_column(1), one_column(0), one_column(1), reduction=r),
    "kl_div": lambda r: F.kl_div(one_column(1), one_column(0), reduction=r),
    "multilabel_soft_margin_loss": lambda r: F.multilabel_soft_margin_loss(one_column(1), one_column(0), reduction=r),
    "binary_cross_entropy": lambda r: F.binary_cross_entropy(one_column(1), one_column(0), reduction=r),
    "huber_loss": lambda r: F.huber_loss(one_column(1), one_column(0), reduction=r),
}


@claim("loss-invalid-reduction")
@covering(name=REDUCED.keys(), reduction=["average", "Mean", ""])
def test_unknown_reduction(name, reduction):
    with pytest.raises(ValueError, match=r"is not (a )?valid"):
        REDUCED[name](reduction)


@claim("loss-weight-is-a-buffer")
@pytest.mark.parametrize(
    "name",
    ["NLLLoss", "CrossEntropyLoss", "BCELoss", "BCEWithLogitsLoss", "MultiMarginLoss", "MultiLabelSoftMarginLoss"],
)
def test_weights_are_buffers(name):
    weights = {"weight": torch.tensor([1.0, 2.0])}
    if name == "BCEWithLogitsLoss":
        weights["pos_weight"] = torch.tensor([3.0, 4.0])
    loss = getattr(nn, name)(**weights)
    assert list(loss.state_dict()) == list(weights)
    assert list(loss.parameters()) == []
    loss.double()
    for key, value in weights.items():
        assert_same(getattr(loss, key), value.double(), what=key)
    assert list(getattr(nn, name)().state_dict()) == []
