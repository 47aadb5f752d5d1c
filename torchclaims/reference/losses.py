"""Loss functions without their reduction, as terms that differentiate themselves.

``x`` is what a model returns and ``y`` the target; class dimensions stand last unless said otherwise.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from torchclaims.reference.differentiation import (
    Array,
    Term,
    choose,
    exp,
    log,
    log_sigmoid,
    log_softmax,
    positive_part,
    smaller,
    softplus,
    sqrt,
    stacked,
    term,
)


def reduced(loss: Term, reduction: str) -> Term:
    """The losses themselves, their mean over all elements, or their sum."""
    return {"none": lambda: loss, "mean": loss.mean, "sum": loss.sum}[reduction]()


def absolute(x: Term, y: Term) -> Term:
    """|x - y|."""
    return abs(x - y)


def squared(x: Term, y: Term) -> Term:
    """(x - y)^2."""
    return (x - y) * (x - y)


def huber(x: Term, y: Term, delta: float) -> Term:
    """(x - y)^2 / 2 where |x - y| < delta, else delta (|x - y| - delta / 2)."""
    gap = x - y
    return choose(np.abs(gap.value) < delta, gap * gap * 0.5, (abs(gap) - 0.5 * delta) * delta)


def smooth_l1(x: Term, y: Term, beta: float) -> Term:
    """(x - y)^2 / 2 beta where |x - y| < beta, else |x - y| - beta / 2; with beta = 0 it is |x - y|."""
    gap = x - y
    if beta == 0:
        return abs(gap)
    return choose(np.abs(gap.value) < beta, gap * gap * 0.5 / beta, abs(gap) - 0.5 * beta)


def poisson_nll(x: Term, y: Term, log_input: bool, full: bool, eps: float) -> Term:
    """exp(x) - y x, or x - y log(x + eps); in full with Stirling's approximation where y > 1."""
    loss = exp(x) - y * x if log_input else x - y * log(x + eps)
    if full:
        safe = choose(y.value > 1, y, 2.0)
        loss = loss + choose(y.value > 1, safe * log(safe) - safe + 0.5 * log(safe * (2 * np.pi)), 0.0)
    return loss


def gaussian_nll(x: Term, y: Term, variance: Term, full: bool, eps: float) -> Term:
    """(log(max(var, eps)) + (x - y)^2 / max(var, eps)) / 2, in full with log(2 pi) / 2 more.

    The gradient passes the maximum as if it were not there: it is that of the formula at max(var, eps).
    """
    raised = variance + np.maximum(eps - variance.value, 0.0)
    loss = (log(raised) + (x - y) * (x - y) / raised) * 0.5
    return loss + 0.5 * np.log(2 * np.pi) if full else loss


def negative_log_likelihood(x: Term, y: Array, weight: Array | None, ignore_index: int, reduction: str) -> Term:
    """-w[y] x[y] with the classes in axis 1, or 0 of a single axis; ignored targets count nothing.

    The mean is over the weights of the targets that count.
    """
    axis = min(1, len(x.shape) - 1)
    classes = x.shape[axis]
    counts = y != ignore_index
    safe = np.where(counts, y, 0)
    chosen = (x * np.moveaxis(np.eye(classes)[safe], -1, axis)).sum(axis)
    weights = np.where(counts, (np.ones(classes) if weight is None else weight)[safe], 0.0)
    losses = -chosen * weights
    if reduction != "mean":
        return reduced(losses, reduction)
    return losses.sum() / weights.sum()


def cross_entropy(x: Term, y: Array, weight: Array | None, ignore_index: int, smoothing: float, reduction: str) -> Term:
    """Cross entropy with class indices: the negative log likelihood of log_softmax(x).

    With smoothing the target is (1 - s) of the class and s / C of each; the mean is over the targets' weights.
    """
    axis = min(1, len(x.shape) - 1)
    classes = x.shape[axis]
    logs = log_softmax(x, axis)
    counts = y != ignore_index
    safe = np.where(counts, y, 0)
    weights = np.ones(classes) if weight is None else weight
    shares = (1 - smoothing) * np.eye(classes)[safe] + smoothing / classes
    shares = np.moveaxis(shares * weights * counts[..., None], -1, axis)
    losses = -(logs * shares).sum(axis)
    if reduction != "mean":
        return reduced(losses, reduction)
    return losses.sum() / (weights[safe] * counts).sum()


def soft_cross_entropy(x: Term, y: Term, weight: Array | None, smoothing: float, reduction: str) -> Term:
    """Cross entropy with a probability for each class; the mean is over the samples, whatever their weights."""
    axis = min(1, len(x.shape) - 1)
    classes = x.shape[axis]
    weights = np.ones(classes) if weight is None else weight
    shape = tuple(classes if i == axis else 1 for i in range(len(x.shape)))
    shares = y * (1 - smoothing) + smoothing / classes
    losses = -(log_softmax(x, axis) * shares * weights.reshape(shape)).sum(axis)
    return reduced(losses, reduction)


def binary_cross_entropy(x: Term, y: Term, weight: Any) -> Term:
    """-w (y log x + (1 - y) log(1 - x)), logarithms held at -100 or more."""

    def held(z: Term) -> Term:
        inside = np.exp(-100) <= z.value
        return choose(inside, log(choose(inside, z, 1.0)), -100.0)

    return -(y * held(x) + (1 - y) * held(1 - x)) * weight


def binary_cross_entropy_with_logits(x: Term, y: Term, weight: Any, pos_weight: Any) -> Term:
    """-w (p y log sigmoid(x) + (1 - y) log(1 - sigmoid(x))), where log(1 - sigmoid(x)) = log sigmoid(x) - x."""
    return ((1 - y) * x - (1 + (pos_weight - 1) * y) * log_sigmoid(x)) * weight


def kl_divergence(x: Term, y: Term, log_target: bool) -> Term:
    """y (log y - x), 0 where y is 0; with log_target exp(y) (y - x)."""
    if log_target:
        return exp(y) * (y - x)
    safe = choose(y.value > 0, y, 1.0)
    return choose(y.value > 0, safe * log(safe), 0.0) - y * x


def multi_margin(x: Term, y: Array, p: int, margin: float, weight: Array | None) -> Term:
    """sum over i != y of w[y] max(0, margin - x[y] + x[i])^p, over the number of classes."""
    classes = x.shape[-1]
    own = np.eye(classes)[y]
    hinge = positive_part(x - (x * own).sum(-1, keepdims=True) + margin)
    hinge = hinge * hinge if p == 2 else hinge
    weights = np.ones(classes) if weight is None else weight
    return (hinge * (1 - own)).sum(-1) * weights[y] / classes


def multilabel_margin(x: Term, y: Array) -> Term:
    """sum over targets j and other classes i of max(0, 1 - (x[y[j]] - x[i])), over the number of classes.

    Only the targets before the first negative one count.
    """
    classes = x.shape[-1]
    rows = x.reshape(-1, classes)
    losses = []
    for number, targets in enumerate(y.reshape(-1, classes)):
        labels = list(itertools.takewhile(lambda target: target >= 0, targets))
        others = [i for i in range(classes) if i not in labels]
        loss = term(0.0)
        for label in labels:
            if others:
                loss = loss + positive_part(1 - (rows[number, label] - rows[number, np.array(others)])).sum()
        losses.append(loss / float(classes))
    return stacked(losses).reshape(*x.shape[:-1])


def multilabel_soft_margin(x: Term, y: Term, weight: Any) -> Term:
    """The mean over classes of -w (y log sigmoid(x) + (1 - y) log(1 - sigmoid(x)))."""
    return ((y * softplus(-x) + (1 - y) * softplus(x)) * weight).sum(-1) / float(x.shape[-1])


def soft_margin(x: Term, y: Term) -> Term:
    """log(1 + exp(-y x))."""
    return softplus(-(y * x))


def margin_ranking(first: Term, second: Term, y: Term, margin: float) -> Term:
    """max(0, -y (first - second) + margin)."""
    return positive_part(-(y * (first - second)) + margin)


def hinge_embedding(x: Term, y: Array, margin: float) -> Term:
    """x where y is 1, max(0, margin - x) where it is -1."""
    return choose(y == 1, x, positive_part(margin - x))


def cosine(first: Term, second: Term, eps: float, axis: int) -> Term:
    """first . second / max(|first| |second|, eps) along ``axis``."""
    norms = sqrt((first * first).sum(axis)) * sqrt((second * second).sum(axis))
    return (first * second).sum(axis) / choose(norms.value > eps, norms, eps)


def cosine_embedding(first: Term, second: Term, y: Array, margin: float) -> Term:
    """1 - cos where y is 1, max(0, cos - margin) where it is -1."""
    similarity = cosine(first, second, 1e-12, -1)
    return choose(y == 1, 1 - similarity, positive_part(similarity - margin))


def norm(x: Term, p: float, axis: int = -1, keepdims: bool = False) -> Term:
    """(sum |x|^p)^(1/p); the number of nonzero elements for p = 0, the largest of |x| for infinity."""
    sizes = abs(x)
    if p == 0:
        return term((x.value != 0).sum(axis, keepdims=keepdims).astype(np.float64))
    if np.isinf(p):
        best = sizes.value.max(axis, keepdims=True)
        return (sizes * (sizes.value == best)).sum(axis, keepdims=keepdims)
    if p == 1:
        return sizes.sum(axis, keepdims=keepdims)
    return (sizes**p).sum(axis, keepdims=keepdims) ** (1 / p)


def pairwise_distance(first: Term, second: Term, p: float, eps: float, keepdims: bool = False) -> Term:
    """The p-norm of first - second + eps along the last axis."""
    return norm(first - second + eps, p, -1, keepdims)


def triplet_margin(
    anchor: Term, positive: Term, negative: Term, margin: float, p: float, eps: float, swap: bool
) -> Term:
    """max(0, d(a, p) - d(a, n) + margin); swapped, the smaller of d(a, n) and d(p, n) stands for d(a, n)."""
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        other = pairwise_distance(positive, negative, p, eps)
        far = smaller(other, far)
    return positive_part(near - far + margin)


def ctc(x: Term, targets: list[list[int]], lengths: list[int], blank: int) -> Term:
    """-log of the summed probability of all paths that collapse to the target: repeats merged, then blanks dropped.

    ``x`` holds log-probabilities (T, N, C). All C^T paths are enumerated.
    """
    classes = x.shape[2]
    losses = []
    for n, (target, length) in enumerate(zip(targets, lengths, strict=True)):
        paths = [
            path
            for path in itertools.product(range(classes), repeat=length)
            if [label for label, _ in itertools.groupby(path) if label != blank] == target
        ]
        if not paths:
            losses.append(term(np.inf))
            continue
        logs = x[np.arange(length), n, np.array(paths)].sum(-1)
        top = logs.value.max()
        losses.append(-(log(exp(logs - top).sum()) + top))
    return stacked(losses)
