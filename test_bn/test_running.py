"""Running statistics: what momentum weighs, what counts, what is left alone."""

import numpy as np
import pytest
import torch
from torch import nn

from test_bn.layouts import LAYOUTS, channels_of_unlike_scale, every_layout, other_axes, place
from torchclaims import claim
from torchclaims.reference import normalisation
from torchclaims.targets import to_numpy
from torchclaims.tolerance import accumulation_unit, assert_same, assert_within, gamma, normalisation_bound


def train(cell, rng, bn, shape, batches=1):
    """The batches that ``bn`` was trained on, as float64 arrays of the values it saw."""
    seen = []
    for _ in range(batches):
        x = cell.tensor(channels_of_unlike_scale(rng, shape))
        cell.run(bn)(x)
        seen.append(to_numpy(x))
    return seen


def assert_running(cell, bn, batches, momentum, mean=0.0, variance=1.0):
    """The buffers hold what the documented recursion gives, started from ``mean`` and ``variance``."""
    channels = bn.num_features
    start = np.full(channels, mean), np.full(channels, variance)
    expected = normalisation.running_statistics(batches, momentum, *start)
    axes = other_axes(batches[0])
    bounds = [normalisation_bound(cell, batch, axes, bn.eps) for batch in batches]
    count = batches[0].size // channels
    rounding = gamma(4 * len(batches) + 4, accumulation_unit(cell))
    sizes = [
        1 + max(np.abs(batch).max() for batch in batches),
        variance + max(batch.var(axes).max() for batch in batches) * 4,
    ]
    because = "errors of the batch statistics, and 4 roundings an update"
    assert_within(
        bn.running_mean,
        expected[0],
        sum(b.mean for b in bounds).ravel() + rounding * sizes[0],
        what="running mean",
        because=because,
    )
    assert_within(
        bn.running_var,
        expected[1],
        sum(b.variance for b in bounds).ravel() * count / (count - 1) + rounding * sizes[1],
        what="running variance",
        because=because,
    )


@claim("bn-running-update", "bn-running-var-unbiased")
@every_layout
@pytest.mark.parametrize("momentum", [0.1, 0.3])
def test_update(cell, rng, batch_norm, shape, momentum):
    bn = place(cell, batch_norm(shape[1], momentum=momentum))
    assert_running(cell, bn, train(cell, rng, bn, shape, batches=3), momentum)


@claim("bn-running-mean-one-tenth")
def test_first_batch_leaves_one_tenth_of_its_mean(cell, rng):
    bn = place(cell, nn.BatchNorm2d(3))
    (x,) = train(cell, rng, bn, (4, 3, 2, 2))
    tenth = x.mean((0, 2, 3)) / 10
    bound = gamma(20, accumulation_unit(cell)) * np.abs(x).mean((0, 2, 3)) / 10
    assert_within(bn.running_mean, tenth, bound, what="running mean", because="a sum of 16 values and 3 roundings")


@claim("bn-momentum-one")
@every_layout
def test_momentum_one_forgets(cell, rng, batch_norm, shape):
    bn = place(cell, batch_norm(shape[1]))
    bn.momentum = 1  # as the article does: after construction, before the forward pass
    batches = train(cell, rng, bn, shape, batches=2)
    assert_running(cell, bn, batches[-1:], 1.0)


@claim("bn-momentum-one-too-late")
def test_momentum_set_after_the_forward_pass(cell, rng):
    bn = place(cell, nn.BatchNorm2d(3))
    batches = train(cell, rng, bn, (4, 3, 2, 2))
    bn.momentum = 1
    assert_running(cell, bn, batches, 0.1)


@claim("bn-momentum-none")
@every_layout
def test_momentum_none_is_the_cumulative_average(cell, rng, batch_norm, shape):
    bn = place(cell, batch_norm(shape[1], momentum=None))
    assert_running(cell, bn, train(cell, rng, bn, shape, batches=12), None)


@claim("bn-momentum-zero")
def test_momentum_zero_freezes_the_statistics_and_counts_on(cell, rng):
    bn = place(cell, nn.BatchNorm2d(3, momentum=0.0))
    train(cell, rng, bn, (4, 3, 2, 2), batches=2)
    assert_same(bn.running_mean, torch.zeros_like(bn.running_mean), what="running mean")
    assert_same(bn.running_var, torch.ones_like(bn.running_var), what="running variance")
    assert bn.num_batches_tracked.item() == 2


@claim("bn-counter")
def test_counter_counts_training_batches(cell, rng):
    bn = place(cell, nn.BatchNorm2d(3))
    counts = []
    for training in (True, True, False, True):
        train(cell, rng, bn.train(training), (4, 3, 2, 2))
        counts.append(bn.num_batches_tracked.item())
    assert counts == [1, 2, 2, 3]
    assert bn.num_batches_tracked.dtype == torch.int64


@claim("bn-frozen-still-tracks")
@pytest.mark.parametrize("freeze", ["no_grad", "requires_grad_(False)"])
def test_statistics_move_without_gradients(cell, rng, freeze):
    bn = place(cell, nn.BatchNorm2d(3))
    if freeze == "no_grad":
        with torch.no_grad():
            batches = train(cell, rng, bn, (4, 3, 2, 2))
    else:
        batches = train(cell, rng, bn.requires_grad_(False), (4, 3, 2, 2))
    assert_running(cell, bn, batches, 0.1)


@claim("bn-running-mean-entry-per-channel")
def test_entry_zero_is_the_first_channel_only(cell, rng):
    bn = place(cell, nn.BatchNorm2d(3, momentum=1.0))
    (x,) = train(cell, rng, bn, (4, 3, 2, 2))
    assert bn.running_mean.shape == (3,)
    assert_running(cell, bn, [x], 1.0)
    means = x.mean((0, 2, 3))
    assert len(set(means)) == 3, "the channels' means must differ for the three printed numbers to differ"
    assert abs(bn.running_mean[0].item() - means[0]) < abs(bn.running_mean[0].item() - means[2])


@claim("bn-zero-dimensional-prints")
def test_zero_dimensional_tensor_formats_as_a_number(cell):
    mean = cell.tensor(np.arange(16.0).reshape(4, 2, 2)).sum() / 16
    assert mean.dim() == 0
    assert "%f" % mean.data == "7.500000"  # noqa: UP031 - the article's way to print is what is claimed


@claim("bn-reset-running-stats")
def test_reset(cell, rng):
    bn = place(cell, nn.BatchNorm2d(3))
    train(cell, rng, bn, (4, 3, 2, 2))
    bn.reset_running_stats()
    assert_same(bn.running_mean, torch.zeros_like(bn.running_mean), what="running mean")
    assert_same(bn.running_var, torch.ones_like(bn.running_var), what="running variance")
    assert bn.num_batches_tracked.item() == 0


@claim("bn-state-entries")
@pytest.mark.parametrize("name", LAYOUTS)
def test_state_entries(name):
    batch_norm, shape = LAYOUTS[name]
    state = batch_norm(shape[1]).state_dict()
    assert list(state) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert [tuple(value.shape) for value in state.values()] == [(shape[1],)] * 4 + [()]
