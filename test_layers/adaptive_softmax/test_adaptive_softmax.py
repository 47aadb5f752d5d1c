"""The adaptive softmax beside its head and clusters, put together in NumPy."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.activation import log_softmax
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, gamma, rounding_unit, roundings

Layer = nn.AdaptiveLogSoftmaxWithLoss

# (features, classes, arguments)
CASES = {
    "one cluster": (8, 6, {"cutoffs": [2]}),
    "two clusters": (16, 12, {"cutoffs": [3, 7], "div_value": 2.0}),
    "three clusters, bias": (9, 15, {"cutoffs": (1, 5, 14), "div_value": 1.5, "head_bias": True}),
}
every_case = pytest.mark.parametrize(("features", "classes", "arguments"), CASES.values(), ids=CASES)


def made(cell, rng, features, classes, arguments):
    """The layer, with weights large enough that the largest class is not always in the shortlist."""
    layer = cell.place(Layer(features, classes, **arguments))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(cell.tensor(rng.normal(size=tuple(parameter.shape)) * 0.7))
    return layer


def log_probabilities(layer, x):
    """By the formula, and the size of the terms that each is made of."""
    weights = {name: to_numpy(value) for name, value in layer.named_parameters()}
    logits = x @ weights["head.weight"].T + weights.get("head.bias", 0)
    size = abs(x) @ abs(weights["head.weight"]).T + abs(weights.get("head.bias", 0 * logits[:1]))
    head, shortlist = log_softmax(logits, 1), layer.cutoffs[0]
    columns, sizes = [head[:, :shortlist]], [size.max() + 0 * head[:, :shortlist]]
    for i in range(len(layer.cutoffs) - 1):
        down, up = weights[f"tail.{i}.0.weight"], weights[f"tail.{i}.1.weight"]
        columns.append(head[:, shortlist + i, None] + log_softmax(x @ down.T @ up.T, 1))
        sizes.append(0 * columns[-1] + size.max() + (abs(x) @ abs(down).T @ abs(up).T).max())
    return np.concatenate(columns, 1), np.concatenate(sizes, 1)


def bound_of(cell, layer, expected, size):
    terms = 2 * layer.in_features + layer.n_classes + 20
    return 2 * gamma(terms, rounding_unit(cell.dtype)) * (1 + size + np.abs(expected)) + roundings(cell, 4, expected)


BECAUSE = "sums of products, exponentials, logarithms of sums"


@claim("adaptive-softmax-log-prob")
@every_case
def test_log_prob(cell, rng, features, classes, arguments):
    layer, x = made(cell, rng, features, classes, arguments), cell.tensor(rng.normal(size=(7, features)))
    expected, size = log_probabilities(layer, to_numpy(x))
    seen = cell.run(layer.log_prob)(x)
    assert_within(seen, expected, bound_of(cell, layer, expected, size), what="log_prob", because=BECAUSE)
    total = np.exp(to_numpy(seen)).sum(1)
    assert np.abs(total - 1).max() < 1e-4


@claim("adaptive-softmax-forward")
@every_case
def test_forward(cell, rng, features, classes, arguments):
    layer = made(cell, rng, features, classes, arguments)
    targets = np.concatenate([np.arange(classes), rng.integers(0, classes, 5)])
    x = cell.tensor(rng.normal(size=(len(targets), features)), requires_grad=True)
    target = torch.tensor(targets.tolist(), device=cell.device.name)
    table, size = log_probabilities(layer, to_numpy(x))
    picked = np.arange(len(targets)), targets
    bound = bound_of(cell, layer, table, size)[picked]
    result = cell.run(layer)(x, target)
    assert result._fields == ("output", "loss")
    assert_within(result.output, table[picked], bound, what="output", because=BECAUSE)
    mean = -table[picked].mean()
    of_mean = bound.mean() + gamma(len(targets) + 2, rounding_unit(cell.dtype)) * abs(table[picked]).mean()
    assert_within(result.loss, mean, of_mean, what="loss", because="a mean of what is bounded")
    # Each row alone, and without a batch.
    for row in (0, classes - 1):
        one = cell.run(layer)(x[row], target[row])
        assert one.output.shape == one.loss.shape == ()
        assert_within(one.output, table[row, targets[row]], bound[row], what="output without a batch", because=BECAUSE)
        single = cell.run(layer)(x[row : row + 1], target[row : row + 1])
        assert tuple(single.output.shape) == (1,)
    result.loss.backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


@claim("adaptive-softmax-forward")
def test_gradient_is_that_of_the_full_table(cell, rng):
    layer = made(cell, rng, *CASES["two clusters"])
    target = torch.tensor([0, 4, 11, 2, 7], device=cell.device.name)
    x = cell.tensor(rng.normal(size=(5, 16)), requires_grad=True)
    of_loss = torch.autograd.grad(cell.run(layer)(x, target).loss, [x, *layer.parameters()])
    table = cell.run(layer.log_prob)(x)
    mean = -table[torch.arange(5), target].mean()
    of_table = torch.autograd.grad(mean, [x, *layer.parameters()])
    tolerance = 1e-4 if cell.dtype == torch.float32 else 1e-11
    for seen, wanted in zip(of_loss, of_table, strict=True):
        torch.testing.assert_close(seen, wanted, rtol=tolerance, atol=tolerance)


@claim("adaptive-softmax-predict")
@every_case
def test_predict(cell, rng, features, classes, arguments):
    layer = made(cell, rng, features, classes, arguments)
    # Beside chance there is an input that prefers each output of the head; none is left that prefers two almost alike.
    ways = np.linalg.pinv(to_numpy(layer.head.weight)).T
    x = cell.tensor(np.concatenate([rng.normal(size=(64, features)) * 2, 50 * ways]))
    gaps = [np.diff(np.sort(to_numpy(scores))[:, -2:])[:, 0] for scores in (layer.log_prob(x), layer.head(x))]
    x = x[torch.tensor((np.minimum(*gaps) > 1e-3).tolist())]
    table = to_numpy(cell.run(layer.log_prob)(x))
    best, cut = table.argmax(1), layer.cutoffs[0]
    assert (best < cut).any()
    assert (best >= cut).any()
    head = to_numpy(layer.head(x)).argmax(1)
    # Where the head prefers the shortlist, its best class is the answer; a cluster's best never beats its cluster.
    wanted = np.where(head < cut, head, best)
    assert (best[head < cut] == head[head < cut]).all()
    assert to_numpy(cell.run(layer.predict)(x)).tolist() == wanted.tolist()
    for rows in (best < cut, head < cut, head >= cut):
        assert to_numpy(cell.run(layer.predict)(x[torch.tensor(rows.tolist())])).tolist() == wanted[rows].tolist()


@claim("adaptive-softmax-structure")
@every_case
def test_structure(features, classes, arguments):
    layer = Layer(features, classes, **arguments)
    cutoffs, division = [*arguments["cutoffs"], classes], arguments.get("div_value", 4.0)
    shapes = {"head.weight": (cutoffs[0] + len(cutoffs) - 1, features)}
    if arguments.get("head_bias"):
        shapes["head.bias"] = shapes["head.weight"][:1]
    for i, (start, stop) in enumerate(itertools.pairwise(cutoffs)):
        inner = int(features // division ** (i + 1))
        shapes |= {f"tail.{i}.0.weight": (inner, features), f"tail.{i}.1.weight": (stop - start, inner)}
    assert {name: tuple(value.shape) for name, value in layer.named_parameters()} == shapes
    typed = Layer(features, classes, **arguments, dtype=torch.float64)
    assert {value.dtype for value in typed.parameters()} == {torch.float64}
    assert (layer.in_features, layer.n_classes) == (features, classes)
    before = [value.clone() for value in layer.parameters()]
    layer.reset_parameters()
    assert all(not torch.equal(old, new) for old, new in zip(before, layer.parameters(), strict=True))


@claim("adaptive-softmax-evaluates-what-it-needs")
@pytest.mark.parametrize(("targets", "needed"), [([0, 2], []), ([0, 4], [0]), ([11, 8], [1]), ([3, 7, 0], [0, 1])])
def test_evaluates_what_it_needs(rng, targets, needed):
    layer = Layer(16, 12, [3, 7])
    seen = []
    for i, cluster in enumerate(layer.tail):
        cluster.register_forward_hook(lambda module, args, out, i=i: seen.append((i, len(args[0]))))
    layer(torch.zeros(len(targets), 16), torch.tensor(targets))
    assert [i for i, _ in seen] == needed
    inside = {0: sum(3 <= one < 7 for one in targets), 1: sum(one >= 7 for one in targets)}
    assert all(rows == inside[i] for i, rows in seen)


@claim("adaptive-softmax-refused")
@pytest.mark.parametrize("cutoffs", [[], [3, 2], [0, 2], [-1, 2], [2, 10], [2, 11], [2, 2], [1.5, 3]], ids=str)
def test_cutoffs(cutoffs):
    with pytest.raises(ValueError, match=r"cutoffs should be a sequence|empty sequence"):
        Layer(8, 10, cutoffs)
    assert Layer(8, 10, [1, 9], div_value=2).cutoffs == [1, 9, 10]


REFUSED = {
    "target below 0": ((2, 8), [-1, 2], "Target values should be in"),
    "target far above": ((2, 8), [1, 11], "Target values should be in"),
    "fewer targets": ((3, 8), [1, 2], "same size in the batch dimension"),
    "three dimensions": ((2, 1, 8), [1, 2], "1D target tensor expects 2D input"),
    "one target for a batch": ((2, 8), 1, "0D target tensor expects 1D input"),
    "targets in a matrix": ((2, 8), [[1], [2]], "0D or 1D target tensor expected"),
}


@claim("adaptive-softmax-refused")
@pytest.mark.parametrize(("shape", "target", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(shape, target, message):
    layer = Layer(8, 10, [2, 5], div_value=2)
    before = [value.clone() for value in layer.parameters()]
    with pytest.raises(RuntimeError, match=message):
        layer(torch.zeros(shape), torch.tensor(target))
    assert all(torch.equal(old, new) for old, new in zip(before, layer.parameters(), strict=True))


@claim("adaptive-softmax-last-target")
def test_target_of_n_classes():
    try:
        output = Layer(8, 6, [2])(torch.zeros(2, 8), torch.tensor([0, 6])).output
    except RuntimeError as error:
        raise AssertionError(f"expected n_classes to be a target, seen {error}") from None
    assert output.shape == (2,)
