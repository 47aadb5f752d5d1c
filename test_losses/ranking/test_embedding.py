"""Losses of how near inputs are to each other."""

import numpy as np
import pytest
import torch
from torch import nn

from test_losses.common import REDUCTIONS, eighths, every_layout, normal, odd_sixteenths, signs
from torchclaims import claim
from torchclaims.comparison import assert_formula, laid_out, off_bends
from torchclaims.covering import covering
from torchclaims.reference import losses
from torchclaims.targets import to_numpy


def margin_of(options, default):
    return options.get("margin", default)


MARGINS = [{}, {"margin": 0.5}, {"margin": -0.25}]


@claim("loss-margin-ranking")
@covering(shape=[(), (1,), (17,), (0,), (3, 5)], options=MARGINS, reduction=REDUCTIONS)
def test_margin_ranking(cell, rng, shape, options, reduction):
    def formula(a, b, y):
        return losses.reduced(losses.margin_ranking(a, b, y, margin_of(options, 0.0)), reduction)

    inputs = [odd_sixteenths(cell, rng, shape), eighths(cell, rng, shape), signs(cell, rng, shape)]
    assert_formula(cell, rng, nn.MarginRankingLoss(reduction=reduction, **options), formula, inputs)


@claim("loss-margin-ranking")
def test_margin_ranking_layouts(cell, rng):
    def formula(a, b, y):
        return losses.margin_ranking(a, b, y, 0.0)

    first, second = odd_sixteenths(cell, rng, (3, 9)).detach().T, eighths(cell, rng, (9, 6)).detach()[:, ::2]
    inputs = [first.requires_grad_(), second.requires_grad_(), signs(cell, rng, (9, 3))]
    assert_formula(cell, rng, nn.MarginRankingLoss(reduction="none"), formula, inputs)


@claim("loss-margin-ranking-errors")
def test_margin_ranking_errors(cell):
    flat, column = cell.tensor(np.ones(2)), cell.tensor(np.ones((2, 1)))
    for inputs in ((column, flat, flat), (flat, column, flat), (flat, flat, column)):
        with pytest.raises(RuntimeError, match="margin_ranking_loss : All input tensors should have same dimension"):
            nn.MarginRankingLoss()(*inputs)


@claim("loss-hinge-embedding")
@covering(shape=[(), (17,), (3, 5), (2, 1, 4), (0, 2)], options=MARGINS, reduction=REDUCTIONS)
def test_hinge_embedding(cell, rng, shape, options, reduction):
    y = signs(cell, rng, shape)
    labels = to_numpy(y)

    def formula(x):
        return losses.reduced(losses.hinge_embedding(x, labels, margin_of(options, 1.0)), reduction)

    loss = nn.HingeEmbeddingLoss(reduction=reduction, **options)
    assert_formula(cell, rng, lambda x: loss(x, y), formula, [odd_sixteenths(cell, rng, shape)])


@claim("loss-hinge-embedding")
@every_layout
def test_hinge_embedding_layouts(cell, rng, layout):
    y = signs(cell, rng, (9, 5))
    labels = to_numpy(y)
    loss = nn.HingeEmbeddingLoss(reduction="none")

    def formula(x):
        return losses.hinge_embedding(x, labels, 1.0)

    x = laid_out(cell, (2 * rng.integers(-24, 24, (9, 5)) + 1) / 16, layout, requires_grad=True)
    assert_formula(cell, rng, lambda x: loss(x, y), formula, [x])


@claim("loss-cosine-embedding")
@covering(["(5,)"], shape=[(5,), (9, 4), (1, 17), (3, 2)], options=MARGINS, reduction=REDUCTIONS)
def test_cosine_embedding(cell, rng, shape, options, reduction):
    y = signs(cell, rng, shape[:-1])
    labels = to_numpy(y)

    def formula(a, b):
        return losses.reduced(losses.cosine_embedding(a, b, labels, margin_of(options, 0.0)), reduction)

    loss = nn.CosineEmbeddingLoss(reduction=reduction, **options)
    # The kernel adds 1e-12 to the squared norms: vectors so long that this is nothing, where it would show.
    scale = 2.0**10 if cell.dtype == torch.float64 else 1.0

    def draw():
        """Vectors of length 1/4 or more: short ones magnify the rounding of their direction."""
        vectors = rng.normal(size=(2, *shape))
        stretched = vectors * np.maximum(1, 0.25 / np.linalg.norm(vectors, axis=-1, keepdims=True))
        return [cell.tensor(scale * one, requires_grad=True) for one in stretched]

    inputs = off_bends(cell, formula, draw)
    assert_formula(cell, rng, lambda a, b: loss(a, b, y), formula, inputs, orders=8)


@claim("loss-cosine-embedding")
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_single_vectors_with_either_label(cell, sign):
    inputs = [cell.tensor([3.0, 4.0]), cell.tensor([4.0, 3.0])]
    loss = cell.run(nn.CosineEmbeddingLoss(margin=0.5))(*inputs, cell.tensor(sign))
    assert loss.dim() == 0
    assert abs(loss.item() - (0.04 if sign > 0 else 0.46)) <= 8 * torch.finfo(cell.dtype).eps + 1e-12


@claim("loss-cosine-embedding-errors")
def test_cosine_embedding_errors(cell):
    x = cell.tensor(np.ones((3, 2)))
    with pytest.raises(RuntimeError, match="0D or 1D target tensor expected"):
        nn.CosineEmbeddingLoss()(x, x, cell.tensor(np.ones((3, 1))))
    with pytest.raises(RuntimeError, match="1D target tensor expects 2D input tensors"):
        nn.CosineEmbeddingLoss()(x[0], x[0], cell.tensor(np.ones(3)))
    with pytest.raises(RuntimeError, match="0D target tensor expects 1D input tensors"):
        nn.CosineEmbeddingLoss()(x, x, cell.tensor(1.0))


TRIPLETS = {
    "defaults": {},
    "margin": {"margin": 0.25},
    "one-norm": {"p": 1.0},
    "three-norm": {"p": 3.0},
    "large eps": {"eps": 0.5},
}


def triplet(options, **more):
    settings = {"margin": 1.0, "p": 2.0, "eps": 1e-6, "swap": False, **options, **more}
    return lambda a, p, n: losses.triplet_margin(a, p, n, **settings)


@claim("loss-triplet")
@covering(["(5,)"], shape=[(5,), (9, 4), (1, 17), (2, 1), (2, 3, 4)], options=TRIPLETS, reduction=REDUCTIONS)
def test_triplet(cell, rng, shape, options, reduction):
    def formula(*inputs):
        return losses.reduced(triplet(options)(*inputs), reduction)

    def draw():  # of vectors that are not so near each other that float16 has no number for the gradient
        return [odd_sixteenths(cell, rng, shape), eighths(cell, rng, shape), eighths(cell, rng, shape)]

    inputs = off_bends(cell, formula, draw)
    assert_formula(cell, rng, nn.TripletMarginLoss(reduction=reduction, **options), formula, inputs)


@claim("loss-triplet-swap")
@pytest.mark.parametrize("shape", [(5,), (33, 2)], ids=str)
def test_triplet_swap(cell, rng, shape):
    formula = triplet({"swap": True})
    inputs = off_bends(cell, formula, lambda: [normal(cell, rng, shape) for _ in range(3)])
    assert_formula(cell, rng, nn.TripletMarginLoss(swap=True, reduction="none"), formula, inputs)
    loss = nn.TripletMarginWithDistanceLoss(swap=True, reduction="none")
    assert_formula(cell, rng, loss, formula, inputs)


@claim("loss-triplet-errors")
@pytest.mark.parametrize("margin", [0.0, -1.0])
def test_triplet_refuses_margin(margin):
    with pytest.raises(ValueError, match="expected margin to be greater than 0"):
        nn.TripletMarginLoss(margin=margin)


@claim("loss-triplet-errors")
def test_triplet_dimensions(cell):
    matrix, vector = cell.tensor(np.ones((2, 3))), cell.tensor(np.ones(3))
    for inputs in ((matrix, vector, matrix), (matrix, matrix, vector), (vector, matrix, matrix)):
        with pytest.raises(RuntimeError, match="expected to have the same number of dimensions"):
            nn.TripletMarginLoss()(*inputs)


DISTANCES = {
    "default": (None, lambda a, b: losses.pairwise_distance(a, b, 2.0, 1e-6)),
    "squared": (lambda a, b: ((a - b) ** 2).sum(-1), lambda a, b: ((a - b) * (a - b)).sum(-1)),
    "pairwise": (nn.PairwiseDistance(p=1.0, eps=0.25), lambda a, b: losses.pairwise_distance(a, b, 1.0, 0.25)),
}


@claim("loss-triplet-distance")
@covering(distance__formula=DISTANCES, margin=[None, 0.25], reduction=REDUCTIONS)
def test_triplet_with_distance(cell, rng, distance, formula, margin, reduction):
    more = {} if margin is None else {"margin": margin}
    loss = nn.TripletMarginWithDistanceLoss(distance_function=distance, reduction=reduction, **more)

    def wanted(a, p, n):
        hinge = losses.positive_part(formula(a, p) - formula(a, n) + (1.0 if margin is None else margin))
        return losses.reduced(hinge, reduction)

    inputs = off_bends(cell, wanted, lambda: [normal(cell, rng, (9, 4)) for _ in range(3)])
    assert_formula(cell, rng, loss, wanted, inputs)


@claim("loss-triplet-distance")
def test_default_distance_is_pairwise():
    loss = nn.TripletMarginWithDistanceLoss()
    assert isinstance(loss.distance_function, nn.PairwiseDistance)
    assert loss.margin == 1.0


@claim("loss-triplet-distance-zero-margin")
def test_margin_zero(cell):
    try:
        loss = nn.TripletMarginWithDistanceLoss(margin=0.0)
    except ValueError as error:
        raise AssertionError(f"expected a loss with margin 0, seen {error}") from None
    a, p, n = (
        cell.tensor([[0.0, 0.0], [0.0, 0.0]]),
        cell.tensor([[3.0, 4.0], [0.0, 1.0]]),
        cell.tensor([[0.0, 1.0]] * 2),
    )
    assert abs(cell.run(loss)(a, p, n).item() - 2.0) < 1e-5
