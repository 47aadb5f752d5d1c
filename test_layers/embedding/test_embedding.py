"""Rows looked up by index, singly and in bags."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import claim
from torchclaims.chance import assert_follows, normal
from torchclaims.comparison import assert_formula
from torchclaims.covering import covering
from torchclaims.reference.differentiation import Term, stacked
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within

MODES = ("sum", "mean", "max")


def ids(cell, values, dtype=torch.int64):
    return torch.tensor(values, dtype=dtype, device=cell.device.name)


def with_weight(cell, layer, values):
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(values))
    return cell.place(layer)


def check(cell, rng, layer, run, formula, extra=()):
    """``run(*extra)`` and the gradient of the layer's weight."""
    parameters = {"weight": layer.weight}
    assert_formula(cell, rng, run, formula, list(extra), parameters)


INDICES = {
    "scalar": 3,
    "vector": [0, 6, 2, 2, 2, 0, 1, 5, 4],
    "matrix": [[1, 2, 4, 5], [4, 3, 2, 6]],
    "three axes": [[[1], [2]], [[1], [1]]],
    "nothing": [],
}


@claim("embedding-lookup")
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32], ids=str)
@pytest.mark.parametrize("indices", INDICES.values(), ids=INDICES)
def test_lookup(cell, rng, indices, dtype):
    layer = cell.place(nn.Embedding(7, 3))
    places = np.array(indices, dtype=np.int64)
    index = ids(cell, indices, dtype)
    run = cell.run(layer)
    check(cell, rng, layer, lambda: run(index), lambda weight: weight[places])


@claim("embedding-lookup")
def test_lookup_by_scattered_indices(cell, rng):
    layer = cell.place(nn.Embedding(9, 17))
    index = ids(cell, rng.integers(0, 9, (4, 6))).T[:, ::2]
    check(cell, rng, layer, lambda: layer(index), lambda weight: weight[to_numpy(index)])


@claim("embedding-padding")
@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag], ids=lambda layer: layer.__name__)
@pytest.mark.parametrize(("given", "row"), [(0, 0), (2, 2), (-1, 4), (-5, 0)])
def test_padding_row(cell, layer, given, row):
    embedding = cell.place(layer(5, 3, padding_idx=given))
    assert embedding.padding_idx == row
    assert_same(embedding.weight.detach()[row], cell.tensor(np.zeros(3)), what="padding row")
    assert (embedding.weight.detach() != 0).all(1).sum() == 4
    with torch.no_grad():
        embedding.weight[row] = 7.0
    cell.run(embedding)(ids(cell, [[0, 1, 2, 3, 4, row]])).sum().backward()
    assert_same(embedding.weight.grad[row], cell.tensor(np.zeros(3)), what="gradient of the padding row")
    assert (embedding.weight.grad != 0).all(1).sum() == 4
    if layer is nn.Embedding:
        assert_same(
            cell.run(embedding)(ids(cell, [row])).detach(), cell.tensor([[7.0] * 3]), what="padding that was set"
        )
    embedding.reset_parameters()
    assert_same(embedding.weight.detach()[row], cell.tensor(np.zeros(3)), what="padding row after a reset")


@claim("embedding-padding")
@pytest.mark.parametrize(("given", "row"), [(2, 2), (-1, 4), (-5, 0)])
def test_padding_row_of_the_functions(cell, given, row):
    index = ids(cell, [[0, 1, 2, 3, 4]])
    for function in (F.embedding, F.embedding_bag):
        weight = cell.tensor(np.arange(15.0).reshape(5, 3), requires_grad=True)
        cell.run(function)(index, weight, padding_idx=given).sum().backward()
        assert (weight.grad == 0).all(1).nonzero().tolist() == [[row]]


@claim("embedding-init")
@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag], ids=lambda layer: layer.__name__)
def test_init(layer):
    assert layer(7, 3).weight.shape == (7, 3)
    assert_follows(lambda: layer(200, 100).weight.detach(), normal(0.0, 1.0), what="weight")


def renormed(rows, limit, p):
    norms = np.linalg.norm(rows, p, axis=1)
    return rows * np.where(norms > limit, limit / norms, 1.0)[:, None]


@claim("embedding-max-norm")
@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag], ids=lambda layer: layer.__name__)
@pytest.mark.parametrize(("p", "limit"), [(2.0, 1.0), (1.0, 1.5), (3.0, 0.75), (math.inf, 0.5)])
def test_max_norm(cell, rng, layer, p, limit):
    values = rng.normal(size=(6, 3)) * np.array([0.01, 0.1, 1, 1, 3, 3])[:, None]
    more = {} if p == 2 else {"norm_type": p}
    embedding = with_weight(cell, layer(6, 3, max_norm=limit, **more), values)
    before = to_numpy(embedding.weight)
    used = [0, 2, 4, 4]
    out = cell.run(embedding)(ids(cell, [used]))
    expected = before.copy()
    expected[used] = renormed(before[used], limit, p)
    # The divisor is the norm and 1e-7 more.
    bound = (3e-7 + 16 * torch.finfo(cell.dtype).eps) * np.abs(before) + 1e-9
    assert_within(embedding.weight, expected, bound, what="weight", because="1e-7 and a few roundings")
    untouched = [1, 3, 5]
    assert_same(embedding.weight.detach()[untouched], cell.tensor(before[untouched]), what="rows not used")
    assert_same(embedding.weight.detach()[0], cell.tensor(before[0]), what="a row within the limit")
    if layer is nn.Embedding:
        assert_same(out.detach()[0], embedding.weight.detach()[used], what="what was looked up")


@claim("embedding-max-norm-small")
@pytest.mark.parametrize("limit", [2.0**-20, 2.0**-24])
def test_small_max_norm(cell, limit):
    embedding = with_weight(cell, nn.Embedding(1, 2, max_norm=limit), [[2 * limit, 0.0]])
    seen = cell.run(embedding)(ids(cell, [0]))[0, 0].item()
    off = seen / limit
    assert abs(off - 1) < 1e-5, f"expected the norm to be max_norm, seen {off:.3f} of it"


@claim("embedding-scale-by-frequency")
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32], ids=str)
@pytest.mark.parametrize("index", [[1, 1, 2, 1, 4], [[1, 1, 2], [3, 1, 2]]], ids=["one row", "two rows"])
def test_scale_by_frequency(cell, rng, index, dtype):
    layer = cell.place(nn.Embedding(5, 2, scale_grad_by_freq=True))
    weights = rng.normal(size=(*np.shape(index), 2))
    (cell.run(layer)(ids(cell, index, dtype)) * cell.tensor(weights)).sum().backward()
    weights = to_numpy(cell.tensor(weights))
    expected = np.zeros((5, 2))
    for row in np.unique(index):
        expected[row] = weights[np.equal(index, row)].mean(0)
    bound = 16 * torch.finfo(cell.dtype).eps * np.abs(weights).max()
    assert_within(layer.weight.grad, expected, bound, what="gradient", because="sums of three")


@claim("embedding-bag-scale-by-frequency")
@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_bag_scale_by_frequency(cell, mode):
    layer = cell.place(nn.EmbeddingBag(5, 2, mode=mode, scale_grad_by_freq=True))
    cell.run(layer)(ids(cell, [[1, 1, 2, 1], [2, 2, 0, 1]])).sum().backward()
    share = 1.0 if mode == "sum" else 0.25
    expected = np.array([[share]] * 3 + [[0.0]] * 2) * np.ones((5, 2))
    bound = 8 * torch.finfo(cell.dtype).eps
    assert_within(layer.weight.grad, expected, bound, what="gradient", because="sums of four")


SPARSE = {"embedding": nn.Embedding, "sum": nn.EmbeddingBag, "mean": nn.EmbeddingBag}


@claim("embedding-sparse")
@pytest.mark.parametrize("padding", [None, 2])
@pytest.mark.parametrize("mode", SPARSE)
def test_sparse_gradient(cell, rng, mode, padding):
    more = {} if mode == "embedding" else {"mode": mode}
    grads = []
    for sparse in (True, False):
        layer = SPARSE[mode](6, 3, sparse=sparse, padding_idx=padding, **more)
        with_weight(cell, layer, np.ones((6, 3)))
        out = layer(ids(cell, [[1, 2, 1], [4, 4, 2]]))
        (out * torch.arange(1.0, out.numel() + 1, device=out.device).to(out.dtype).view(out.shape)).sum().backward()
        grads.append(layer.weight.grad)
    assert grads[0].layout == torch.sparse_coo
    assert grads[1].layout == torch.strided
    bound = 8 * torch.finfo(cell.dtype).eps * np.abs(to_numpy(grads[1]))
    assert_within(grads[0].to_dense(), to_numpy(grads[1]), bound, what="gradient", because="the same sums")
    rows = set(grads[0].coalesce().indices()[0].tolist())
    assert rows == ({1, 2, 4} if padding is None else {1, 4})


@claim("embedding-errors")
def test_embedding_errors(cell):
    layer = cell.place(nn.Embedding(3, 2))
    if cell.device.is_cpu:
        for index in (3, -1):
            with pytest.raises(IndexError, match="index out of range"):
                layer(ids(cell, [0, index]))
    for dtype in (torch.int16, torch.uint8, torch.float32):
        with pytest.raises(RuntimeError, match="scalar types: Long, Int"):
            layer(ids(cell, [0, 1], dtype))
    for made in (nn.Embedding, nn.EmbeddingBag):
        for padding in (3, -4):
            with pytest.raises(AssertionError, match="adding_idx must be within num_embeddings"):
                made(3, 2, padding_idx=padding)


@claim("embedding-from-pretrained")
@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag], ids=lambda layer: layer.__name__)
def test_from_pretrained(layer):
    weight = torch.tensor([[1, 2.3, 3], [4, 5.1, 6.3]])
    made = layer.from_pretrained(weight)
    assert (made.num_embeddings, made.embedding_dim) == (2, 3)
    assert_same(made.weight.detach(), weight, what="weight")
    assert not made.weight.requires_grad
    assert made.padding_idx is None
    assert made.max_norm is None
    assert layer.from_pretrained(weight, freeze=False).weight.requires_grad
    other = layer.from_pretrained(
        weight, padding_idx=-1, max_norm=2.0, norm_type=1.0, scale_grad_by_freq=True, sparse=True, freeze=False
    )
    assert (other.padding_idx, other.max_norm, other.norm_type) == (1, 2.0, 1.0)
    assert (other.scale_grad_by_freq, other.sparse) == (True, True)
    assert_same(other.weight.detach(), weight, what="weight, whose padding row stays")
    with pytest.raises(AssertionError, match="expected to be 2-dimensional"):
        layer.from_pretrained(torch.ones(3))


@claim("embedding-from-pretrained")
def test_from_pretrained_bag():
    weight = torch.tensor([[1, 2.3, 3], [4, 5.1, 6.3]])
    bag = nn.EmbeddingBag.from_pretrained(weight, mode="sum", include_last_offset=True)
    assert (bag.mode, bag.include_last_offset) == ("sum", True)
    mean = nn.EmbeddingBag.from_pretrained(weight)(torch.tensor([[1, 0]]))
    assert_within(mean, np.array([[2.5, 3.7, 4.65]]), 1e-6, what="the example", because="two roundings")


def reduce(rows, mode):
    """A bag's rows (n, H), of which there may be none, as one term of H elements."""
    count = rows.shape[0]
    if not count:
        return Term(np.zeros(rows.shape[1]))
    if mode == "max":
        best = rows.value.argmax(0)
        return rows[best, np.arange(rows.shape[1])]
    total = rows.sum(0)
    return total / float(count) if mode == "mean" else total


def bags_of(index, offsets):
    ends = [*offsets[1:], len(index)]
    return [index[start:end] for start, end in zip(offsets, ends, strict=True)]


def reduce_bags(weight, bags, mode, padding=None):
    kept = [np.array([i for i in bag if i != padding], dtype=np.int64) for bag in bags]
    return stacked([reduce(weight[bag], mode) for bag in kept])


BAGS = {
    "two": ([1, 2, 4, 5, 4, 3, 2, 6], [0, 4]),
    "unequal": ([1, 2, 4, 5, 4, 3, 2, 6, 0], [0, 1, 3]),
    "one": ([3, 3, 1], [0]),
    "one element each": ([3, 1, 2], [0, 1, 2]),
    "long": ([i % 7 for i in range(33)], [0, 16]),
}


@claim("embedding-bag")
@covering(index__offsets=BAGS, mode=[None, *MODES], dtype=[torch.int64, torch.int32], width=[3, 17])
def test_bags(cell, rng, index, offsets, mode, dtype, width):
    more = {} if mode is None else {"mode": mode}
    layer = cell.place(nn.EmbeddingBag(7, width, **more))

    def formula(weight):
        return reduce_bags(weight, bags_of(index, offsets), mode or "mean")

    check(cell, rng, layer, lambda: layer(ids(cell, index, dtype), ids(cell, offsets, dtype)), formula)


@claim("embedding-bag")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("index", [[[1, 2, 4], [4, 3, 4]], [[5], [5]]], ids=str)
def test_rows_are_bags(cell, rng, index, mode):
    layer = cell.place(nn.EmbeddingBag(7, 3, mode=mode))
    check(cell, rng, layer, lambda: layer(ids(cell, index)), lambda weight: reduce_bags(weight, index, mode))


@claim("embedding-bag-empty")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("offsets", [[0, 0, 2], [0, 2, 2], [0, 3], [0, 0, 0, 3]], ids=str)
def test_empty_bags(cell, rng, offsets, mode):
    index = [1, 2, 1]
    layer = with_weight(cell, nn.EmbeddingBag(3, 4, mode=mode), -1 - rng.uniform(size=(3, 4)))

    def formula(weight):
        return reduce_bags(weight, bags_of(index, offsets), mode)

    check(cell, rng, layer, lambda: layer(ids(cell, index), ids(cell, offsets)), formula)


@claim("embedding-bag-padding")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", [0, 2, 6])
def test_bag_padding(cell, rng, mode, padding):
    index, offsets = [2, 2, 0, 6, 4, 3, 2, 6, 0, 0], [0, 2, 3, 4, 8]
    layer = nn.EmbeddingBag(7, 3, mode=mode, padding_idx=padding)
    with_weight(cell, layer, 3 * rng.normal(size=(7, 3)))

    def formula(weight):
        return reduce_bags(weight, bags_of(index, offsets), mode, padding)

    check(cell, rng, layer, lambda: layer(ids(cell, index), ids(cell, offsets)), formula)


@claim("embedding-bag-padding")
@pytest.mark.parametrize("mode", MODES)
def test_bag_padding_in_rows(cell, rng, mode):
    rows = [[2, 2, 0], [6, 4, 2], [1, 0, 1]]
    layer = nn.EmbeddingBag(7, 3, mode=mode, padding_idx=2)
    with_weight(cell, layer, 3 * rng.normal(size=(7, 3)))

    def formula(weight):
        return reduce_bags(weight, rows, mode, 2)

    check(cell, rng, layer, lambda: layer(ids(cell, rows)), formula)


@claim("embedding-bag-weights")
@pytest.mark.parametrize("padding", [None, 1])
def test_per_sample_weights(cell, rng, padding):
    index, offsets = [1, 2, 4, 5, 4, 1], [0, 4]
    layer = cell.place(nn.EmbeddingBag(7, 3, mode="sum", padding_idx=padding))

    def formula(scale, weight):
        rows = weight[np.array(index)] * scale.reshape(6, 1)
        kept = [[i for i in bag if index[i] != padding] for bag in ([0, 1, 2, 3], [4, 5])]
        return stacked([rows[np.array(bag)].sum(0) for bag in kept])

    scale = cell.tensor(rng.normal(size=6), requires_grad=True)

    def run(scale):
        return layer(ids(cell, index), ids(cell, offsets), per_sample_weights=scale)

    check(cell, rng, layer, run, formula, [scale])


@claim("embedding-bag-weights")
@pytest.mark.parametrize("mode", ["mean", "max"])
def test_per_sample_weights_only_for_sums(cell, mode):
    layer = cell.place(nn.EmbeddingBag(7, 3, mode=mode))
    with pytest.raises(NotImplementedError, match="only supported for mode='sum'"):
        cell.run(layer)(ids(cell, [[1, 2]]), per_sample_weights=cell.tensor([[1.0, 1.0]]))


@claim("embedding-bag-last-offset")
@pytest.mark.parametrize("mode", MODES)
def test_last_offset(cell, rng, mode):
    index, offsets = [1, 2, 4, 5, 4, 3], [0, 2, 2, 6]
    layer = cell.place(nn.EmbeddingBag(7, 3, mode=mode, include_last_offset=True))

    def formula(weight):
        return reduce_bags(weight, bags_of(index, offsets[:-1]), mode)

    check(cell, rng, layer, lambda: layer(ids(cell, index), ids(cell, offsets)), formula)


@claim("embedding-bag-last-offset-ends")
@pytest.mark.parametrize("mode", MODES)
def test_last_offset_ends_the_bag(cell, mode):
    layer = nn.EmbeddingBag(3, 2, mode=mode, include_last_offset=True)
    with_weight(cell, layer, [[1.0, 1.0], [5.0, 5.0], [9.0, 9.0]])
    seen = cell.run(layer)(ids(cell, [0, 1, 2]), ids(cell, [0, 2]))[0, 0].item()
    expected = {"sum": 6.0, "mean": 3.0, "max": 5.0}[mode]
    assert seen == expected, f"expected {expected}, seen {seen}"


@claim("embedding-bag-last-offset-rows")
@pytest.mark.parametrize("mode", MODES)
def test_last_offset_of_rows(cell, mode):
    layer = cell.place(nn.EmbeddingBag(5, 2, mode=mode, include_last_offset=True))
    index = ids(cell, [[0, 1, 2], [3, 4, 4]])
    seen = cell.run(layer)(index)
    layer.include_last_offset = False
    plain = cell.run(layer)(index)
    assert tuple(seen.shape) == (2, 2), f"expected (2, 2), seen {tuple(seen.shape)}"
    assert_same(seen, plain, what="bags")


@claim("embedding-bag-max-nan")
@pytest.mark.parametrize("place", [0, 1, 2])
def test_maximum_of_nan(cell, place):
    values = [1.0, 2.0, 3.0]
    values[place] = math.nan
    layer = with_weight(cell, nn.EmbeddingBag(3, 1, mode="max"), [[value] for value in values])
    seen = cell.run(layer)(ids(cell, [[0, 1, 2]])).item()
    assert math.isnan(seen), f"expected NaN, seen {seen}"


@claim("embedding-bag-max-nan")
def test_maximum_of_infinities(cell):
    layer = with_weight(cell, nn.EmbeddingBag(2, 1, mode="max"), [[-math.inf], [-math.inf]])
    assert cell.run(layer)(ids(cell, [[0, 1]])).item() == -math.inf


@claim("embedding-bag-same-type")
@pytest.mark.parametrize("types", [(torch.int32, torch.int64), (torch.int64, torch.int32)], ids=str)
def test_types_of_input_and_offsets(cell, types):
    layer = cell.place(nn.EmbeddingBag(3, 2))
    try:
        seen = layer(ids(cell, [0, 1], types[0]), ids(cell, [0], types[1]))
    except (RuntimeError, ValueError) as error:
        if "type" not in str(error):
            raise
    else:
        raise AssertionError(f"expected an error, seen a result of shape {tuple(seen.shape)}")


BAG_ERRORS = {
    "rows with offsets": ({}, [[0, 1]], {"offsets": [0]}, ValueError, "then offsets has to be None"),
    "no offsets": ({}, [0, 1], {}, ValueError, "offsets has to be a 1D Tensor but got None"),
    "offsets of two axes": ({}, [0, 1], {"offsets": [[0]]}, ValueError, "offsets has to be a 1D Tensor"),
    "three axes": ({}, [[[0]]], {}, ValueError, "input has to be 1D or 2D Tensor"),
    "sparse max": ({"mode": "max", "sparse": True}, [[0]], {}, ValueError, "max mode does not support sparse"),
    "scaled max": (
        {"mode": "max", "scale_grad_by_freq": True}, [[0]], {}, ValueError, "max mode does not support scaling",
    ),
    "weights": ({"mode": "sum"}, [[0, 1]], {"weights": [1.0, 1.0]}, ValueError, "must have the same shape"),
    "mode": ({"mode": "median"}, [[0]], {}, ValueError, "mode has to be one of sum, mean or max"),
    "first offset": ({}, [0, 1], {"offsets": [1]}, RuntimeError, r"offsets\[0\] has to be 0"),
    "last offset": ({}, [0, 1], {"offsets": [0, 3]}, RuntimeError, r"offsets\[-1\] can not be greater than input"),
}  # fmt: skip


@claim("embedding-bag-errors")
@pytest.mark.parametrize(("options", "index", "more", "error", "message"), BAG_ERRORS.values(), ids=BAG_ERRORS)
def test_bag_errors(cell, options, index, more, error, message):
    layer = cell.place(nn.EmbeddingBag(3, 2, **options))
    before = layer.weight.detach().clone()
    offsets = ids(cell, more["offsets"]) if "offsets" in more else None
    weights = cell.tensor(more["weights"]) if "weights" in more else None
    with pytest.raises(error, match=message):
        layer(ids(cell, index), offsets, weights)
    assert_same(layer.weight.detach(), before, what="weight")


@claim("embedding-one-hot")
@pytest.mark.parametrize("classes", [-1, 5, 7])
@pytest.mark.parametrize("indices", [4, [0, 4, 2], [[1, 1], [0, 4]]], ids=str)
def test_one_hot(cell, indices, classes):
    places = np.array(indices)
    seen = (
        cell.run(F.one_hot)(ids(cell, indices), classes) if classes != -1 else cell.run(F.one_hot)(ids(cell, indices))
    )
    expected = torch.tensor(np.eye(classes if classes > 0 else 5)[places].tolist())
    assert seen.dtype == torch.int64
    assert_same(seen, expected.to(torch.int64).to(cell.device.name), what="one-hot")


@claim("embedding-one-hot")
def test_one_hot_of_nothing(cell):
    assert cell.run(F.one_hot)(ids(cell, []), 3).shape == (0, 3)


@claim("embedding-one-hot-errors")
def test_one_hot_errors(cell):
    with pytest.raises(RuntimeError, match="one_hot is only applicable to index tensor"):
        F.one_hot(ids(cell, [0], torch.int32))
    with pytest.raises(RuntimeError, match="Can not infer total number of classes from empty tensor"):
        F.one_hot(ids(cell, []))
    if cell.device.is_cpu:
        with pytest.raises(RuntimeError, match="Class values must be non-negative"):
            F.one_hot(ids(cell, [0, -1]))
        with pytest.raises(RuntimeError, match="Class values must be smaller than num_classes"):
            F.one_hot(ids(cell, [0, 2]), 2)
