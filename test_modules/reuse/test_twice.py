"""A layer that forward uses twice is applied, hooked, updated and differentiated twice."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.reuse_cnn import AROUND, ONCE, TWICE, ReuseCnn, untied
from torchclaims import claim
from torchclaims.reference.normalisation import running_statistics
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, roundings, sum_bound


class Twice(nn.Module):
    """A linear layer applied to its own output."""

    def __init__(self, features):
        super().__init__()
        self.layer = nn.Linear(features, features, bias=False)

    def forward(self, x):
        return self.layer(self.layer(x))


def product(cell, a, b, error=None):
    """a @ b, and a bound on its error as the cell computes it; ``error`` bounds that of ``a``."""
    error = np.zeros_like(a) if error is None else error
    carried = error @ np.abs(b)
    magnitude = np.abs(a) @ np.abs(b) + carried
    return a @ b, carried + sum_bound(cell, len(b), magnitude, magnitude)


def apply_block(block, x):
    """What convolution, normalisation and ReLU compute in evaluation, without calling a module."""
    conv, bn, _ = block
    x = F.conv2d(x, conv.weight, conv.bias, padding=1)
    return F.relu(F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps))


def small_cnn(cell, path):
    """A narrow network for images of 16 x 16."""
    return cell.place(ReuseCnn(path, width=2, size=16))


def images(cell, rng, batch=3):
    """Random images for it."""
    return cell.tensor(rng.normal(size=(batch, 3, 16, 16)))


@claim("reuse-output-changes")
def test_output_is_that_of_two_applications(cell, rng):
    model = cell.place(Twice(5))
    x = cell.tensor(rng.normal(size=(3, 5)))
    weight = to_numpy(model.layer.weight).T
    once, once_bound = product(cell, to_numpy(x), weight)
    twice, bound = product(cell, once, weight, once_bound)
    seen = cell.run(model)(x)
    assert_within(seen, twice, bound, what="layer(layer(x))", because="two sums of 5 products, one after the other")
    assert (np.abs(to_numpy(seen) - once) > once_bound).any(), "this is what one application gives"


@claim("reuse-flops")
@pytest.mark.parametrize(
    ("path", "expected"),
    [(ONCE, 54_362_112), (TWICE, 63_799_296), (AROUND, 73_236_480)],
    ids=["once", "twice", "around"],
)
def test_each_use_costs(path, expected):
    from torch.utils.flop_counter import FlopCounterMode

    def convolution(channels_in, channels_out, size):
        return 2 * (channels_in * 3 * 3) * (channels_out * size * size)

    first_three = convolution(3, 16, 64) + convolution(16, 32, 32) + convolution(32, 64, 16)
    by_hand = first_three + len(path) * convolution(64, 64, 8) + 2 * (64 * 8 * 8) * 6
    assert 2 * by_hand == expected
    model = ReuseCnn(path)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(2, 3, 64, 64))
    assert counter.get_total_flops() == expected


@claim("reuse-runs-each-time")
@pytest.mark.parametrize("path", [TWICE, AROUND], ids=["at once", "around another"])
def test_hooks_see_each_use(cell, rng, path):
    model = small_cnn(cell, path).eval()
    x = images(cell, rng)
    blocks = {model.get_submodule(name): name for name in path}
    for block in blocks:
        nn.init.ones_(block[1].bias)  # so that ReLU does not make zeros of zeros
    before, uses, convolutions = [], [], []
    for block in blocks:
        block.register_forward_pre_hook(lambda block, args: before.append((blocks[block], *args)))
        block.register_forward_hook(lambda block, args, output: uses.append((blocks[block], *args, output)))
        block[0].register_forward_hook(lambda conv, args, output: convolutions.append(args[0]))
    with torch.no_grad():
        scores = model(x)
        assert [name for name, *_ in before] == [name for name, *_ in uses] == list(path)
        assert len(convolutions) == len(path)
        value = model.features(x)
        for (name, entering, leaving), (_, announced), reached in zip(uses, before, convolutions, strict=True):
            assert entering is announced is reached
            assert_same(entering, value, what=f"what {name} took")
            value = apply_block(model.get_submodule(name), value)
            assert_same(leaving, value, what=f"what {name} gave")
            assert not torch.equal(leaving, entering)
        assert_same(scores, F.linear(value.flatten(1), model.out.weight, model.out.bias), what="scores")


@claim("reuse-bn-updates-each-time")
@pytest.mark.parametrize("path", [ONCE, TWICE, AROUND], ids=["once", "at once", "around another"])
def test_normalisation_moves_at_each_use(cell, rng, path):
    model = small_cnn(cell, path)
    bn = model.conv4[1]
    taken = []
    bn.register_forward_hook(lambda bn, args, output: taken.append(args[0].clone()))
    cell.run(model)(images(cell, rng))
    batches = [to_numpy(one) for one in taken]
    assert bn.num_batches_tracked.item() == len(batches) == path.count("conv4")

    mean, variance = running_statistics(batches, 0.1, np.zeros(8), np.ones(8))
    count = batches[0].size // 8
    size = sum(np.abs(batch).mean((0, 2, 3)) for batch in batches)
    square = sum((batch**2).sum((0, 2, 3)) for batch in batches) / (count - 1)
    assert_within(
        bn.running_mean,
        mean,
        0.1 * sum_bound(cell, count, size, size) + roundings(cell, 8, size),
        what="running_mean",
        because=f"a tenth of the error of means of {count}, and 4 roundings an update",
    )
    assert_within(
        bn.running_var,
        variance,
        # A variance from E[x^2] - E[x]^2, the worst way, errs by at most three times what E[x^2] does.
        0.3 * sum_bound(cell, count, square, square) + roundings(cell, 8, 1 + square),
        what="running_var",
        because=f"a tenth of the error of variances of {count}, and 4 roundings an update",
    )


@claim("reuse-bn-updates-each-time")
def test_normalisation_rests_in_evaluation(cell, rng):
    model = small_cnn(cell, TWICE).eval()
    bn = model.conv4[1]
    cell.run(model)(images(cell, rng))
    assert bn.num_batches_tracked.item() == 0
    assert_same(bn.running_mean, torch.zeros_like(bn.running_mean), what="running_mean")
    assert_same(bn.running_var, torch.ones_like(bn.running_var), what="running_var")


@claim("reuse-grads-add")
def test_gradient_is_the_sum_over_uses(cell, rng):
    model = cell.place(Twice(4))
    x = cell.tensor(rng.normal(size=(3, 4)))
    grad = cell.tensor(rng.normal(size=(3, 4)))
    cell.run(model)(x).backward(grad)

    x, grad, weight = to_numpy(x), to_numpy(grad), to_numpy(model.layer.weight)
    hidden, hidden_bound = product(cell, x, weight.T)
    early, early_bound = product(cell, grad, weight)
    last_use, last_bound = product(cell, hidden.T, grad, hidden_bound.T)
    first_use, first_bound = product(cell, early.T, x, early_bound.T)
    expected = last_use.T + first_use
    assert_within(
        model.layer.weight.grad,
        expected,
        last_bound.T + first_bound + roundings(cell, 1, np.abs(last_use.T) + np.abs(first_use)),
        what="gradient of the shared weight",
        because="two chains of two sums of products each, added",
    )


@claim("reuse-grads-tied-untied")
def test_tied_gradient_is_the_sum_of_the_untied(cell, rng):
    tied = small_cnn(cell, TWICE)
    free = untied(tied)
    x, grad = images(cell, rng), cell.tensor(rng.normal(size=(3, 6)))
    with torch.backends.cudnn.flags(deterministic=True):
        scores, free_scores = cell.run(tied)(x), cell.run(free)(x)
        scores.backward(grad)
        free_scores.backward(grad)
    assert_same(scores, free_scores, what="scores")
    twins = dict(free.twin.named_parameters())
    for name, one_use in free.conv4.named_parameters():
        both = tied.get_parameter(f"conv4.{name}").grad
        assert_same(both, one_use.grad + twins[name].grad, what=f"gradient of {name}")
        if name != "0.bias":  # whose gradient the normalisation cancels but for rounding
            assert one_use.grad.any(), name
            assert twins[name].grad.any(), name
