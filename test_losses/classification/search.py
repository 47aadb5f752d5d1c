"""Counter-examples to losses of scores against classes."""

import numpy as np

from test_losses.classification.classes import class_axis, reduction_of
from test_losses.common import REDUCTIONS
from torchclaims import claim
from torchclaims.reference import losses
from torchclaims.search import DENSE, LAYOUTS, search

# Those that keep the values that are drawn, which are all classes.
SCATTERED = ("contiguous", "every other", "offset", "transposed", "batch last")


def scores(script, low=0):
    """(C), (N, C) or (N, C, d1, ...)."""
    rank = script.pick(2, 1, 3, 4)
    shape = list(script.sizes(rank, 1, 4))
    if rank > 1:
        shape[0] = script.integers(low, 4)[0]
    return tuple(shape)


def indices(script, shape, ignored=None):
    """Classes for scores of ``shape``, some of them ``ignored``; all of them are a case of their own."""
    axis = class_axis(shape)
    least = 0 if ignored is None else -1
    y = script.whole("y", shape[:axis] + shape[axis + 1 :], least, shape[axis] - 1, layouts=SCATTERED)
    if (y < 0).any() and not (y < 0).all():
        script.run("y", f"torch.where(y < 0, {ignored}, y)")
        return np.where(y < 0, ignored, y)
    if (y < 0).any():
        script.run("y", "y.clamp(min=0)")
    return y.clip(0)


def weights(script, shape):
    """Nothing, or an argument and the values of a weight for each class."""
    if script.pick(True, False):
        return "", None
    return ", weight=weight", script.tensor("weight", (shape[class_axis(shape)],), low=0.125, high=2.125)


@claim("loss-nll", "loss-nll-ignore-index")
@search
def test_nll(cell, script):
    shape, reduction = scores(script), script.pick(*REDUCTIONS)
    # loss-nll-layouts: the gradient of images whose axes are permuted is an error.
    script.tensor("x", shape, grad=True, layouts=DENSE if len(shape) > 2 else tuple(LAYOUTS))
    ignored = script.pick(-100, 255)
    y = indices(script, shape, ignored)
    given, weight = weights(script, shape)
    call = f"torch.nn.functional.nll_loss(x, y{given}, ignore_index={ignored}, reduction={reduction!r})"
    script.agree(call, lambda x: losses.negative_log_likelihood(x, y, weight, ignored, reduction), ["x"])


@claim("loss-cross-entropy", "loss-cross-entropy-smoothing")
@search
def test_cross_entropy(cell, script):
    shape, reduction = scores(script), script.pick(*REDUCTIONS)
    (reach,) = script.pick((4.0,), (16.0,))
    script.tensor("x", shape, low=-reach, high=reach, grad=True)
    y = indices(script, shape, -100)
    given, weight = weights(script, shape)
    smoothing = script.pick(0.0, 0.25, 1.0)

    def formula(x):
        return losses.cross_entropy(x, y, weight, -100, smoothing, reduction)

    options = f"{given}, label_smoothing={smoothing}, reduction={reduction!r}"
    script.agree(f"torch.nn.functional.cross_entropy(x, y{options})", formula, ["x"], orders=8)


@claim("loss-cross-entropy-soft")
@search
def test_soft_cross_entropy(cell, script):
    shape, reduction = scores(script), script.pick(*REDUCTIONS)
    script.tensor("x", shape, grad=True)
    script.tensor("y", shape, low=0.0, high=1.0, grad=True)
    given, weight = weights(script, shape)
    smoothing = script.pick(0.0, 0.25)

    def formula(x, y):
        return losses.soft_cross_entropy(x, y, weight, smoothing, reduction_of(shape, reduction))

    options = f"{given}, label_smoothing={smoothing}, reduction={reduction!r}"
    script.agree(f"torch.nn.functional.cross_entropy(x, y{options})", formula, ["x", "y"], orders=8)


def shape_of(script):
    return script.sizes(script.pick(1, 0, 2, 3), 0, 3)


@claim("loss-bce")
@search
def test_bce(cell, script):
    shape, reduction = shape_of(script), script.pick(*REDUCTIONS)
    script.tensor("x", shape, low=0.125, high=0.875, grad=True)
    script.tensor("y", shape, low=0.0, high=1.0)

    def formula(x, y):
        return losses.reduced(losses.binary_cross_entropy(x, y, 1.0), reduction)

    call = f"torch.nn.functional.binary_cross_entropy(x, y, reduction={reduction!r})"
    script.agree(call, formula, ["x", "y"])


@claim("loss-bce-logits")
@search
def test_bce_with_logits(cell, script):
    shape, reduction = shape_of(script), script.pick(*REDUCTIONS)
    script.tensor("x", shape, low=-8.0, high=8.0, grad=True)
    script.tensor("y", shape, low=0.0, high=1.0)
    weight = positive = 1.0
    given = ""
    if shape and script.pick(False, True):
        weight, given = script.tensor("weight", shape[-1:], low=0.125, high=2.125), ", weight=weight"
    if shape and script.pick(False, True):
        positive = script.tensor("positive", shape[-1:], low=0.125, high=4.125)
        given += ", pos_weight=positive"

    def formula(x, y):
        return losses.reduced(losses.binary_cross_entropy_with_logits(x, y, weight, positive), reduction)

    call = f"torch.nn.functional.binary_cross_entropy_with_logits(x, y{given}, reduction={reduction!r})"
    script.agree(call, formula, ["x", "y"], orders=32)


@claim("loss-kl")
@search
def test_kl(cell, script):
    shape, reduction = shape_of(script), script.pick("none", "sum")
    log_target = script.pick(False, True)
    script.tensor("x", shape, low=-4.0, high=0.0, grad=True)
    low, high = (-4.0, 0.0) if log_target else (0.125, 1.125)
    script.tensor("y", shape, low=low, high=high, grad=True)

    def formula(x, y):
        return losses.reduced(losses.kl_divergence(x, y, log_target), reduction)

    call = f"torch.nn.functional.kl_div(x, y, reduction={reduction!r}, log_target={log_target})"
    script.agree(call, formula, ["x", "y"])


@claim("loss-multi-margin")
@search
def test_multi_margin(cell, script):
    # loss-multi-margin-empty: there is a sample. Values that no hinge bends at.
    shape, reduction = script.sizes(2, 1, 4), script.pick(*REDUCTIONS)
    script.tensor("x", shape, step=1 / 8, grad=True)
    y = indices(script, shape)
    given, weight = weights(script, shape)
    p, margin = script.pick(1, 2), script.pick(1.0625, 0.5625)

    def formula(x):
        return losses.reduced(losses.multi_margin(x, y, p, margin, weight), reduction)

    options = f"p={p}, margin={margin}{given}, reduction={reduction!r}"
    script.agree(f"torch.nn.functional.multi_margin_loss(x, y, {options})", formula, ["x"])


@claim("loss-multilabel-soft-margin", "loss-soft-margin")
@search
def test_soft_margins(cell, script):
    shape, reduction = script.sizes(2, 1, 4), script.pick(*REDUCTIONS)
    script.tensor("x", shape, low=-8.0, high=8.0, grad=True)
    name = script.pick("soft_margin_loss", "multilabel_soft_margin_loss")
    several = name.startswith("multilabel")
    script.tensor("y", shape, low=0.0 if several else -1.0, high=1.0, step=1.0 if several else 2.0)

    def formula(x, y):
        loss = losses.multilabel_soft_margin(x, y, 1.0) if several else losses.soft_margin(x, y)
        return losses.reduced(loss, reduction)

    script.agree(f"torch.nn.functional.{name}(x, y, reduction={reduction!r})", formula, ["x", "y"], orders=8)
