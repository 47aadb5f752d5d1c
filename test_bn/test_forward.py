"""What batch normalisation computes, in training and in evaluation."""

import numpy as np
import pytest
import torch
from torch import nn

from test_bn.layouts import channels_of_unlike_scale, every_layout, other_axes, per_channel, place
from torchclaims import claim
from torchclaims.reference import normalisation
from torchclaims.targets import from_numpy, to_numpy
from torchclaims.tolerance import (
    accumulation_unit,
    assert_same,
    assert_within,
    gamma,
    normalisation_bound,
    rounding_unit,
    roundings,
)

BECAUSE = "rounding of mean, variance and x * a + b, conditioned by |mean| / sqrt(variance + eps)"


def with_parameters(cell, module, rng):
    """``module`` in its cell, with a weight and a bias that differ by channel."""
    with torch.no_grad():
        module.weight.copy_(from_numpy(rng.uniform(0.5, 2.0, module.num_features)))
        module.bias.copy_(from_numpy(rng.uniform(-1.0, 1.0, module.num_features)))
    return place(cell, module)


def assert_normalised(cell, output, x, module, unit=None):
    """``output`` is the formula's value for input ``x`` in training; ``unit`` as in normalisation_bound."""
    weight, bias = to_numpy(module.weight), to_numpy(module.bias)
    columns = per_channel(weight, x.ndim), per_channel(bias, x.ndim)
    bound = normalisation_bound(cell, x, other_axes(x), module.eps, *columns, unit)
    expected = normalisation.batch_norm(x, module.eps, weight, bias)
    assert_within(output, expected, bound.output, what="output", because=BECAUSE)


@claim("bn-train-formula", "bn-subtracts-mean-and-variance")
@every_layout
def test_training_output(cell, rng, batch_norm, shape):
    bn = with_parameters(cell, batch_norm(shape[1]), rng)
    x = cell.tensor(channels_of_unlike_scale(rng, shape))
    assert_normalised(cell, cell.run(bn)(x), to_numpy(x), bn)


@claim("bn-train-formula")
def test_training_output_with_parameters_of_the_same_dtype(cell, rng):
    bn = cell.place(with_parameters(cell, nn.BatchNorm2d(3), rng))
    x = cell.tensor(per_channel([-0.5, 0.0, 1.0], 4) + rng.standard_normal((4, 3, 2, 2)))
    assert_normalised(cell, cell.run(bn)(x), to_numpy(x), bn, rounding_unit(cell.dtype))


@claim("bn-train-formula")
@pytest.mark.parametrize("width", [1, 7, 8, 9, 15, 16, 17, 31, 33])
def test_training_output_around_vector_widths(cell, rng, width):
    bn = with_parameters(cell, nn.BatchNorm2d(width), rng)
    x = cell.tensor(channels_of_unlike_scale(rng, (2, width, 1, 3)))
    assert_normalised(cell, cell.run(bn)(x), to_numpy(x), bn)


@claim("bn-train-formula")
@pytest.mark.parametrize("layout", ["transposed", "strided", "offset", "expanded"])
def test_training_output_of_views(cell, rng, layout):
    bn = with_parameters(cell, nn.BatchNorm2d(3), rng)
    values = channels_of_unlike_scale(rng, (4, 3, 4, 5))
    x = {
        "transposed": lambda: cell.tensor(values).transpose(2, 3),
        "strided": lambda: cell.tensor(values)[::2, :, 1::2],
        "offset": lambda: cell.tensor(values).flatten()[7 : 7 + 36].view(2, 3, 2, 3),
        "expanded": lambda: cell.tensor(values[..., :1]).expand(4, 3, 4, 5),
    }[layout]()
    assert_normalised(cell, cell.run(bn)(x), to_numpy(x), bn)


@claim("bn-biased-variance-normalises")
def test_two_values_a_channel_become_plus_and_minus_one(cell):
    # Of {-1, 1} the biased variance is 1 and the unbiased 2: the output would be 0.707.
    bn = place(cell, nn.BatchNorm1d(1, eps=1e-30))
    output = cell.run(bn)(cell.tensor([[-1.0], [1.0]]))
    assert_within(
        output,
        [[-1.0], [1.0]],
        8 * rounding_unit(cell.dtype),
        what="output",
        because="exact but for 8 roundings",
    )


@claim("bn-eps-inside-root")
def test_eps_of_three(cell):
    # Of {0, 2} the variance is 1, so the root is 2 with eps = 3 inside and 1 + 3 with eps outside.
    bn = place(cell, nn.BatchNorm1d(1, eps=3.0))
    output = cell.run(bn)(cell.tensor([[0.0], [2.0]]))
    assert_within(
        output,
        [[-0.5], [0.5]],
        8 * rounding_unit(cell.dtype),
        what="output",
        because="exact but for 8 roundings",
    )


@claim("bn-statistics-per-channel")
def test_channel_statistics_over_batch_height_and_width(cell, rng):
    x = cell.tensor(channels_of_unlike_scale(rng, (4, 3, 2, 2)))
    assert x[:, 2].numel() == 16
    bn = place(cell, nn.BatchNorm2d(3, momentum=1.0))
    cell.run(bn)(x)
    values = to_numpy(x)
    by_hand = (values[0] + values[1] + values[2] + values[3]).sum((1, 2)) / 16
    bound = gamma(18, accumulation_unit(cell)) * np.abs(values).mean((0, 2, 3))
    assert_within(bn.running_mean, by_hand, bound, what="mean of each channel", because="a sum of 16 values")


@claim("bn-running-mean-is-the-mean-used")
def test_training_ignores_the_running_statistics(cell, rng):
    x = cell.tensor(channels_of_unlike_scale(rng, (4, 3, 2, 2)))
    fresh, moved = (place(cell, nn.BatchNorm2d(3)) for _ in range(2))
    with torch.no_grad():
        moved.running_mean.fill_(7.0)
        moved.running_var.fill_(0.25)
    assert_same(cell.run(moved)(x), cell.run(fresh)(x), what="output with other running statistics")


@claim("bn-eval-uses-running-statistics")
@every_layout
def test_evaluation_output(cell, rng, batch_norm, shape):
    bn = with_parameters(cell, batch_norm(shape[1]), rng)
    with torch.no_grad():
        bn.running_mean.copy_(from_numpy(rng.uniform(-1.0, 1.0, shape[1])))
        bn.running_var.copy_(from_numpy(rng.uniform(1e-4, 2.0, shape[1])))
    bn.eval()
    before = [buffer.clone() for buffer in bn.buffers()]
    x = cell.tensor(channels_of_unlike_scale(rng, shape))
    output = cell.run(bn)(x)
    mean, variance, weight, bias = map(to_numpy, (bn.running_mean, bn.running_var, bn.weight, bn.bias))
    values = to_numpy(x)
    expected = normalisation.normalise(values, mean, variance, bn.eps, weight, bias)
    scale, offset, shift = (
        per_channel(np.abs(array), values.ndim) for array in (weight / np.sqrt(variance + bn.eps), mean, bias)
    )
    bound = gamma(8, accumulation_unit(cell)) * (scale * (np.abs(values) + offset) + shift)
    assert_within(
        output,
        expected,
        bound + roundings(cell, 1, expected),
        what="output",
        because="8 roundings of each term",
    )
    for buffer, kept in zip(bn.buffers(), before, strict=True):
        assert_same(buffer, kept, what="running statistics after evaluation")


@claim("bn-track-false")
@pytest.mark.parametrize("training", [True, False])
def test_without_running_statistics(cell, rng, training):
    bn = with_parameters(cell, nn.BatchNorm2d(3, track_running_stats=False), rng).train(training)
    assert list(bn.state_dict()) == ["weight", "bias"]
    assert bn.running_mean is None
    assert bn.running_var is None
    assert bn.num_batches_tracked is None
    x = cell.tensor(channels_of_unlike_scale(rng, (4, 3, 2, 2)))
    assert_normalised(cell, cell.run(bn)(x), to_numpy(x), bn)


@claim("bn-functional-agrees")
@every_layout
def test_functional_twin(cell, rng, batch_norm, shape):
    bn = with_parameters(cell, batch_norm(shape[1]), rng)
    x = cell.tensor(channels_of_unlike_scale(rng, shape))
    mean, variance = (buffer.clone() for buffer in (bn.running_mean, bn.running_var))
    output = cell.run(nn.functional.batch_norm)(x, mean, variance, bn.weight, bn.bias, training=True)
    assert_same(cell.run(bn)(x), output, what="output")
    assert_same(bn.running_mean, mean, what="running mean")
    assert_same(bn.running_var, variance, what="running variance")


@claim("bn-shift-is-lost")
def test_constant_added_to_a_channel_is_lost(cell, rng):
    # Eighths and small integers: adding the constants is exact in every dtype.
    values = rng.integers(-8, 9, (4, 3, 2, 2)) / 8
    shifted = values + per_channel([1.0, -2.0, 4.0], 4)
    outputs = [cell.run(place(cell, nn.BatchNorm2d(3)))(cell.tensor(array)) for array in (values, shifted)]
    bounds = [normalisation_bound(cell, array, (0, 2, 3), 1e-5).output for array in (values, shifted)]
    assert_within(outputs[1], to_numpy(outputs[0]), sum(bounds), what="output after the shift", because=BECAUSE)
