"""How near vectors are."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import claim
from torchclaims.comparison import LAYOUTS, assert_formula, laid_out
from torchclaims.reference import losses
from torchclaims.tolerance import assert_same


def vectors(cell, rng, *shapes, layout="plain"):
    values = (rng.normal(size=shape) for shape in shapes)  # and none near 0, whose inverse float16 does not have
    return [laid_out(cell, one + np.copysign(0.25, one), layout, requires_grad=True) for one in values]


def apart(differences):
    """Whether none is next to 0, nor the two largest of a row next to each other: there rounding decides."""
    sizes = np.sort(abs(differences), axis=-1)
    return sizes.min() > 1e-6 and (sizes.shape[-1] == 1 or np.diff(sizes[..., -2:]).min() > 1e-6)


SIMILARITIES = {
    # first, second, dim
    "matrix": ((9, 5), (9, 5), 1),
    "first axis": ((17, 3), (17, 3), 0),
    "last axis": ((2, 3, 4), (2, 3, 4), -1),
    "single vectors": ((7,), (7,), 0),
    "one column": ((3, 1), (3, 1), 1),
    "broadcast rows": ((4, 5), (1, 5), 1),
    "broadcast middle": ((2, 1, 6), (2, 3, 6), 2),
    "all against all": ((4, 1, 5), (1, 3, 5), 2),
    "images": ((2, 3, 4, 5), (2, 3, 4, 5), 1),
    "nothing": ((0, 5), (0, 5), 1),
}


@claim("distance-cosine")
@pytest.mark.parametrize(("first", "second", "dim"), SIMILARITIES.values(), ids=SIMILARITIES)
def test_cosine(cell, rng, first, second, dim):
    def formula(a, b):
        return losses.cosine(a, b, 1e-8, dim if dim >= 0 else 2)

    layer = nn.CosineSimilarity() if dim == 1 else nn.CosineSimilarity(dim=dim)
    assert_formula(cell, rng, layer, formula, vectors(cell, rng, first, second), orders=8)


@claim("distance-cosine")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_cosine_layouts(cell, rng, layout):
    inputs = [*vectors(cell, rng, (9, 5), layout=layout), *vectors(cell, rng, (9, 5))]
    assert_formula(cell, rng, nn.CosineSimilarity(), lambda a, b: losses.cosine(a, b, 1e-8, 1), inputs, orders=8)


@claim("distance-cosine-eps")
@pytest.mark.parametrize(("one", "other", "eps"), [(2.0**-13, 2.0**-14, 2.0**-20), (2.0**-30, 2.0**30, 2.0**-27)])
def test_eps_is_that_of_the_product(cell, one, other, eps):
    product = one * other
    expected = product / max(product, eps)
    seen = cell.run(nn.CosineSimilarity(dim=0, eps=eps))(cell.tensor([one, 0.0]), cell.tensor([other, 0.0])).item()
    assert seen == expected, f"expected {expected}, seen {seen}, as with each norm held at eps"


@claim("distance-cosine-zero")
def test_cosine_with_nothing(cell):
    zero, one = cell.tensor(np.zeros((2, 3)), requires_grad=True), cell.tensor(np.ones((2, 3)))
    seen = cell.run(nn.CosineSimilarity())(zero, one)
    assert_same(seen.detach(), cell.tensor([0.0, 0.0]), what="similarity with a zero vector")
    assert_same(cell.run(nn.CosineSimilarity())(zero, zero).detach(), cell.tensor([0.0, 0.0]), what="of two")


PAIRS = {
    "matrix": (9, 5),
    "single vectors": (7,),
    "one column": (3, 1),
    "long": (2, 33),
    "nothing": (0, 4),
}


@claim("distance-pairwise")
@pytest.mark.parametrize("shape", PAIRS.values(), ids=PAIRS)
def test_pairwise(cell, rng, shape):
    def formula(a, b):
        return losses.pairwise_distance(a, b, 2.0, 1e-6)

    assert_formula(cell, rng, nn.PairwiseDistance(), formula, vectors(cell, rng, shape, shape))


@claim("distance-pairwise")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_pairwise_layouts(cell, rng, layout):
    inputs = [*vectors(cell, rng, (9, 5), layout=layout), *vectors(cell, rng, (9, 5))]
    assert_formula(cell, rng, nn.PairwiseDistance(), lambda a, b: losses.pairwise_distance(a, b, 2.0, 1e-6), inputs)


@claim("distance-pairwise")
def test_equal_vectors_are_eps_apart(cell):
    x = cell.tensor(np.zeros((2, 4)))
    seen = cell.run(nn.PairwiseDistance())(x, x)
    assert (seen.double() - 2e-6).abs().max() <= 2e-6 * max(1e-5, 4 * torch.finfo(cell.dtype).eps) + 6e-8


@claim("distance-pairwise-norms")
@pytest.mark.parametrize("eps", [1e-6, 0.25])
@pytest.mark.parametrize("p", [1, 1.5, 3.0, -1.0, -2.0, math.inf])
def test_pairwise_norms(cell, rng, p, eps):
    def formula(a, b):
        return losses.pairwise_distance(a, b, p, eps)

    draws = (rng.normal(size=(2, 5, 3)) for _ in range(1000))
    inputs = [cell.tensor(one, requires_grad=True) for one in next(x for x in draws if apart(x[0] - x[1] + eps))]
    assert_formula(cell, rng, nn.PairwiseDistance(p=p, eps=eps), formula, inputs, orders=8)


@claim("distance-pairwise-norms")
def test_pairwise_counts_with_p_zero(cell):
    x = cell.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    y = cell.tensor([[1.0, 2.5, 3.5], [4.0, 5.0, 7.0]])
    assert_same(cell.run(nn.PairwiseDistance(p=0, eps=0.0))(x, y), cell.tensor([2.0, 1.0]), what="elements that differ")


@claim("distance-pairwise-keepdim")
@pytest.mark.parametrize(("shape", "kept"), [((9, 5), (9, 1)), ((5,), (1,)), ((2, 3, 4), (2, 3, 1))], ids=str)
def test_keepdim(cell, rng, shape, kept):
    x, y = vectors(cell, rng, shape, shape)
    flat, column = cell.run(nn.PairwiseDistance())(x, y), cell.run(nn.PairwiseDistance(keepdim=True))(x, y)
    assert column.shape == kept
    assert flat.shape == kept[:-1]
    assert_same(column.reshape(flat.shape), flat, what="distances")


def pairs(x, p):
    rows = [(i, j) for i in range(x.shape[0]) for j in range(i + 1, x.shape[0])]
    first, second = (np.array(index) for index in zip(*rows, strict=True))
    return losses.norm(x[first] - x[second], p)


@claim("distance-pdist")
@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("shape", [(2, 1), (5, 3), (9, 17), (33, 2)], ids=str)
def test_pdist(cell, rng, shape, p):
    first, second = np.triu_indices(shape[0], 1)
    draws = (rng.normal(size=shape) for _ in range(1000))
    x = cell.tensor(next(x for x in draws if apart(x[first] - x[second])), requires_grad=True)
    assert_formula(cell, rng, lambda x: F.pdist(x, p), lambda x: pairs(x, p), [x], orders=16)


@claim("distance-pdist")
def test_pdist_defaults_and_counts(cell):
    x = cell.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0], [0.0, 0.0]])
    assert_same(cell.run(F.pdist)(x), cell.tensor([5.0, 3.0, 0.0, 4.0, 5.0, 3.0]), what="2-norm")
    assert_same(
        cell.run(F.pdist)(x, 0.0), cell.tensor([2.0, 1.0, 0.0, 1.0, 2.0, 1.0]), what="number of elements that differ"
    )
    assert_same(cell.run(F.pdist)(x.T.contiguous().T), cell.run(F.pdist)(x), what="of a transposed matrix")


@claim("distance-pdist")
def test_pdist_far_from_the_origin(cell, rng):
    places = rng.choice(64**3, 40, replace=False)  # no two of them the same, where the distance has no gradient
    x = cell.tensor(1024.0 + np.stack(np.unravel_index(places, (64, 64, 64)), axis=1))
    assert_formula(cell, rng, F.pdist, lambda x: pairs(x, 2.0), [x])


@claim("distance-pdist-small")
def test_pdist_of_little(cell):
    assert cell.run(F.pdist)(cell.tensor(np.ones((1, 3)))).shape == (0,)
    assert cell.run(F.pdist)(cell.tensor(np.ones((0, 3)))).shape == (0,)
    assert_same(cell.run(F.pdist)(cell.tensor(np.ones((3, 0)))), cell.tensor(np.zeros(3)), what="distances of nothing")


@claim("distance-pdist-errors")
def test_pdist_errors(cell):
    with pytest.raises(RuntimeError, match="pdist only supports non-negative p values"):
        F.pdist(cell.tensor(np.ones((3, 2))), -1.0)
    for shape in ((3,), (2, 3, 4)):
        with pytest.raises(RuntimeError, match="pdist only supports 2D tensors"):
            F.pdist(cell.tensor(np.ones(shape)))
