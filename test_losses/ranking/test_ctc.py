"""CTC against the sum over all paths."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.comparison import assert_formula
from torchclaims.covering import covering
from torchclaims.reference import losses
from torchclaims.reference.differentiation import log_softmax
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, running_bound

# Targets, input lengths, blank: repeats need a blank between, lengths may be shorter than T = 5.
CASES = {
    "one label": ([[1], [2]], [5, 5], 0),
    "two labels": ([[1, 2], [2, 1]], [5, 5], 0),
    "repeated label": ([[1, 1], [2, 2]], [5, 5], 0),
    "no label": ([[], [2]], [5, 5], 0),
    "as many as frames": ([[1, 2, 1, 2, 1], [1]], [5, 5], 0),
    "shorter inputs": ([[1, 2], [1]], [3, 4], 0),
    "blank last": ([[0, 1], [1, 1]], [5, 4], 2),
    "blank in the middle": ([[0, 2], [2, 2, 0]], [5, 5], 1),
}
every_case = pytest.mark.parametrize(("targets", "lengths", "blank"), CASES.values(), ids=CASES)


def inputs_of(cell, rng, samples=2, frames=5, classes=3):
    logits = rng.normal(size=(frames, samples, classes))
    return cell.tensor(logits - np.log(np.exp(logits).sum(-1, keepdims=True)), requires_grad=True)


def arranged(cell, targets, padded):
    """Targets as the layer takes them, and their lengths."""
    if padded:
        longest = max(map(len, targets))
        rows = [[*target, *[9] * (longest - len(target))] for target in targets]
    else:
        rows = [label for target in targets for label in target]
    lengths = torch.tensor([len(target) for target in targets])
    return torch.tensor(rows, dtype=torch.int64, device=cell.device.name), lengths


def mean_over_lengths(loss, targets):
    return (loss * np.array([1 / max(len(target), 1) for target in targets])).mean()


@claim("loss-ctc")
@covering(
    ["no label"],
    targets__lengths__blank=CASES,
    reduction=["none", "sum"],
    padded={"padded": True, "concatenated": False},
)
def test_ctc(cell, rng, targets, lengths, blank, reduction, padded):
    y, sizes = arranged(cell, targets, padded)
    loss = nn.CTCLoss(blank=blank, reduction=reduction)

    def formula(x):
        return losses.reduced(losses.ctc(x, targets, lengths, blank), reduction)

    x = inputs_of(cell, rng).detach()
    assert_formula(cell, rng, lambda x: loss(x, y, torch.tensor(lengths), sizes), formula, [x])
    assert_formula(cell, rng, lambda x: loss(x, y, tuple(lengths), tuple(map(len, targets))), formula, [x])


@claim("loss-ctc")
def test_ctc_unbatched(cell, rng):
    x = inputs_of(cell, rng, samples=1).detach()

    def formula(x):
        return losses.ctc(x, [[1, 2]], [5], 0).reshape()

    y = torch.tensor([1, 2], device=cell.device.name)
    seen = nn.CTCLoss(reduction="none")
    assert_formula(cell, rng, lambda x: seen(x[:, 0], y, torch.tensor(5), torch.tensor(2)), formula, [x])


@claim("loss-ctc-mean")
@every_case
def test_ctc_mean(cell, rng, targets, lengths, blank):
    if not all(targets):
        pytest.skip("a target of length 0 would be divided by")
    y, sizes = arranged(cell, targets, True)

    def formula(x):
        return mean_over_lengths(losses.ctc(x, targets, lengths, blank), targets)

    loss = nn.CTCLoss(blank=blank)
    assert_formula(
        cell, rng, lambda x: loss(x, y, torch.tensor(lengths), sizes), formula, [inputs_of(cell, rng).detach()]
    )


@claim("loss-ctc-gradient-of-logits")
@covering(targets__lengths__blank=CASES, reduction=["none", "mean", "sum"])
def test_ctc_gradient_of_logits(cell, rng, targets, lengths, blank, reduction):
    y, sizes = arranged(cell, targets, True)
    loss = nn.CTCLoss(blank=blank, reduction=reduction)

    def formula(x):
        each = losses.ctc(log_softmax(x, 2), targets, lengths, blank)
        return mean_over_lengths(each, targets) if reduction == "mean" else losses.reduced(each, reduction)

    logits = cell.tensor(rng.normal(size=(5, 2, 3)), requires_grad=True)

    def run(x):
        return loss(x.log_softmax(2), y, torch.tensor(lengths), sizes)

    assert_formula(cell, rng, run, formula, [logits])


@claim("loss-ctc-gradient")
def test_ctc_gradient_of_log_probs(cell, rng):
    from torchclaims.reference.differentiation import Term, gradients

    x = inputs_of(cell, rng, samples=1)
    y = torch.tensor([[1, 2]], device=cell.device.name)
    loss = nn.CTCLoss(reduction="sum")(x, y, torch.tensor([5]), torch.tensor([2]))
    (seen,) = torch.autograd.grad(loss, x)
    inputs = Term(to_numpy(x))
    (wanted,) = gradients([losses.ctc(inputs, [[1, 2]], [5], 0).sum()], [np.array(1.0)], [inputs])
    bound = running_bound(cell, wanted.value, wanted.error)
    surplus = np.abs(to_numpy(seen) - wanted.value - np.exp(inputs.value)).max()
    assert surplus > 1e-4, "expected the loss' own gradient, seen exp(log_probs) more"
    assert_within(seen, wanted.value, bound, what="gradient", because="running error analysis of the path sum")


@claim("loss-ctc-lengths")
def test_what_lies_beyond_the_lengths(cell, rng):
    targets, lengths = [[1, 2], [1]], [3, 4]
    y, sizes = arranged(cell, targets, True)
    logits = rng.normal(size=(5, 2, 3))
    other = logits.copy()
    other[3:, 0], other[4:, 1] = 7.0, -7.0
    elsewhere = y.clone()
    elsewhere[1, 1] = 2
    results = []
    for values, labels in ((logits, y), (other, elsewhere)):
        x = cell.tensor(values, requires_grad=True)
        loss = nn.CTCLoss(reduction="none")(x.log_softmax(2), labels, torch.tensor(lengths), sizes)
        (slope,) = torch.autograd.grad(loss.sum(), x)
        results.append((loss.detach(), slope))
    assert_same(results[1][0], results[0][0], what="loss")
    for n, length in enumerate(lengths):
        assert_same(results[1][1][:length, n], results[0][1][:length, n], what="gradient within the length")
        assert_same(results[0][1][length:, n], torch.zeros_like(results[0][1][length:, n]), what="gradient beyond it")


@claim("loss-ctc-infinity")
@pytest.mark.parametrize("zero", [False, True], ids=["infinite", "zeroed"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_ctc_infinity(cell, rng, zero, reduction):
    # Two equal labels need three frames.
    targets, lengths = [[1, 1], [1, 2]], [2, 5]
    y, sizes = arranged(cell, targets, True)
    x = cell.tensor(rng.normal(size=(5, 2, 3)), requires_grad=True)
    loss = nn.CTCLoss(reduction=reduction, zero_infinity=zero)(x.log_softmax(2), y, torch.tensor(lengths), sizes)
    (alone,) = (nn.CTCLoss(reduction="none")(x.log_softmax(2)[:, 1:], y[1:], torch.tensor([5]), sizes[1:]),)
    lost = 0.0 if zero else float("inf")
    finite = alone.item()
    wanted = {"none": [lost, finite], "sum": lost + finite, "mean": (lost / 2 + finite / 2) / 2}[reduction]
    bound = 64 * torch.finfo(cell.dtype).eps * finite
    assert_within(loss, wanted, bound, what="loss", because="sums of a few terms")
    if zero:
        (slope,) = torch.autograd.grad(loss.sum(), x)
        assert_same(slope[:, 0], torch.zeros_like(slope[:, 0]), what="gradient of what was infinite")
        (other,) = torch.autograd.grad(alone.sum(), x)
        factor = 0.25 if reduction == "mean" else 1.0
        bound = 256 * torch.finfo(cell.dtype).eps
        assert_within(slope[:, 1], to_numpy(other[:, 1]) * factor, bound, what="gradient", because="the same sums")


LENGTHS = {
    "input too long": ([[1, 2], [1, 2]], [6, 5], [2, 2], "input_lengths? to have value at most 5|at most 5"),
    "target too long": ([[1, 2], [1, 2]], [5, 5], [3, 2], "to have size at least 3 at dimension 1"),
    "too few labels": ([1, 2, 1], [5, 5], [2, 2], "to have size 4 at dimension 0"),
    "too many labels": ([1, 2, 1], [5, 5], [1, 1], "to have size 2 at dimension 0"),
}


@claim("loss-ctc-errors")
@pytest.mark.parametrize(("labels", "lengths", "sizes", "message"), LENGTHS.values(), ids=LENGTHS)
def test_ctc_errors(cell, rng, labels, lengths, sizes, message):
    y = torch.tensor(labels, device=cell.device.name)
    with pytest.raises(RuntimeError, match=message):
        nn.CTCLoss()(inputs_of(cell, rng), y, torch.tensor(lengths), torch.tensor(sizes))
