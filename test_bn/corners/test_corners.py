"""Batch normalisation of constants, of nothing, with options set late, and from old checkpoints."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from test_bn.layouts import channels_of_unlike_scale, place
from test_bn.test_forward import assert_normalised, with_parameters
from test_norm.common import BECAUSE, column
from torchclaims import claim
from torchclaims.targets import RELEASE, to_numpy
from torchclaims.tolerance import (
    accumulation_unit,
    assert_same,
    assert_within,
    gamma,
    normalisation_bound,
    rounding_unit,
    roundings,
)

EVERY_CLASS = pytest.mark.parametrize("batch_norm", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])


@claim("bn-fresh-evaluation")
def test_fresh_layer_in_evaluation(cell, rng):
    bn = place(cell, nn.BatchNorm2d(3, eps=0.44)).eval()  # sqrt(1.44) is 1.2
    x = cell.tensor(rng.standard_normal((2, 3, 2, 5)))
    expected = to_numpy(x) / 1.2
    assert_within(cell.run(bn)(x), expected, roundings(cell, 6, expected), what="output", because="6 roundings")


@claim("bn-scale-is-lost")
@pytest.mark.parametrize("factor", [4.0, 0.5, -2.0])
def test_scale(cell, rng, factor):
    bn = place(cell, nn.BatchNorm2d(3, eps=1e-30))
    values = rng.standard_normal((4, 3, 2, 2))
    outputs = [to_numpy(cell.run(bn)(cell.tensor(one))) for one in (values, factor * values)]
    bound = 2 * normalisation_bound(cell, values, (0, 2, 3), 1e-30).output
    scaled = cell.tensor(outputs[1])
    assert_within(scaled, np.sign(factor) * outputs[0], bound, what="output of the scaled input", because=BECAUSE)


@claim("bn-order-of-samples")
def test_order(cell, rng):
    values = channels_of_unlike_scale(rng, (4, 3, 2, 3))
    order = [2, 0, 3, 1]
    first, second = (place(cell, nn.BatchNorm2d(3)) for _ in range(2))
    whole = to_numpy(cell.run(first)(cell.tensor(values)))
    other = cell.run(second)(cell.tensor(values[order][..., ::-1].copy()))
    bounds = normalisation_bound(cell, values, (0, 2, 3), 1e-5)
    bound = 2 * bounds.output[order][..., ::-1]
    assert_within(other, whole[order][..., ::-1], bound, what="output of exchanged samples", because=BECAUSE)
    slack = 2 * bounds.mean.ravel() + roundings(cell, 4, to_numpy(first.running_mean))
    assert_within(second.running_mean, to_numpy(first.running_mean), slack, what="running mean", because=BECAUSE)


@claim("bn-constant")
@pytest.mark.parametrize("value", [3.0, 0.1, 100.0, 0.0, -30000.0])
def test_constant(cell, rng, value):
    bn = with_parameters(cell, nn.BatchNorm2d(3), rng)
    x = cell.tensor(np.full((2, 3, 3, 3), value))
    assert_normalised(cell, cell.run(bn)(x), to_numpy(x), bn)


@claim("bn-constant-exact")
@pytest.mark.parametrize("track", [True, False])
def test_constant_is_the_mean(cell, track):
    bn = place(cell, nn.BatchNorm2d(2, track_running_stats=track))
    output = cell.run(bn)(cell.tensor(np.full((2, 2, 3, 3), 100.0)))
    assert_within(output, np.zeros((2, 2, 3, 3)), 0.0, what="output", because="100 - 100 is exact")


@claim("bn-far-from-zero")
@pytest.mark.parametrize("offset", [30.0, 1000.0, 10000.0])
def test_far_from_zero(cell, rng, offset):
    bn = with_parameters(cell, nn.BatchNorm2d(3), rng)
    x = cell.tensor(offset + rng.standard_normal((3, 3, 5, 7)))
    assert_normalised(cell, cell.run(bn)(x), to_numpy(x), bn)


@claim("bn-eps-in-denominator")
@EVERY_CLASS
def test_eps_in_the_denominator(cell, batch_norm):
    bn = place(cell, batch_norm(1, eps=3.0))
    shape = {nn.BatchNorm1d: (2, 1), nn.BatchNorm2d: (2, 1, 1, 1), nn.BatchNorm3d: (2, 1, 1, 1, 1)}[batch_norm]
    output = cell.run(bn)(cell.tensor(np.reshape([0.0, 2.0], shape)))
    bound = 8 * rounding_unit(cell.dtype)
    assert_within(output, np.reshape([-0.25, 0.25], shape), bound, what="output", because="exact but for 8 roundings")


@claim("bn-moving-standard-deviation")
@pytest.mark.parametrize("dimensions", [2, 3])
def test_moving_standard_deviation(cell, dimensions):
    # Of {0, 2, 4, 10} the unbiased variance is 56 / 3, its root 4.32.
    bn = place(cell, {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dimensions](1, momentum=1.0))
    cell.run(bn)(cell.tensor(np.reshape([0.0, 2.0, 4.0, 10.0], (4, 1) + (1,) * dimensions)))
    bound = 20 * rounding_unit(cell.dtype)
    assert_within(bn.running_var, [np.sqrt(56 / 3)], bound, what="moving average", because="20 roundings")


@claim("bn-eps-refused")
@pytest.mark.parametrize("training", [True, False])
def test_eps(cell, rng, training):
    x = cell.tensor(rng.standard_normal((4, 3)))
    mean, variance = cell.tensor(np.zeros(3)), cell.tensor(np.ones(3))
    refused = [0.0, -1.0] if training else [-1.0]
    for eps in refused:
        with pytest.raises(ValueError, match=r"batch_norm eps must be (positive|non-negative)"):
            nn.functional.batch_norm(x, mean, variance, training=training, eps=eps)
    assert_same(mean, cell.tensor(np.zeros(3)), what="running mean after the errors")
    if not training:
        assert_within(
            nn.functional.batch_norm(x, mean, variance, eps=0.0), to_numpy(x), 1e-6, what="output", because="x"
        )


@claim("bn-empty-batch")
@pytest.mark.parametrize(
    ("batch_norm", "shape"),
    [
        (nn.BatchNorm1d, (0, 3)),
        (nn.BatchNorm1d, (2, 3, 0)),
        (nn.BatchNorm2d, (0, 3, 2, 2)),
        (nn.BatchNorm2d, (2, 3, 0, 4)),
    ],
    ids=str,
)
@pytest.mark.parametrize("training", [True, False])
def test_empty_batch(cell, batch_norm, shape, training):
    bn = place(cell, batch_norm(3)).train(training)
    with torch.no_grad():
        bn.running_mean.fill_(0.5)
    x = cell.tensor(np.zeros(shape), requires_grad=True)
    output = cell.run(bn)(x)
    assert output.shape == shape
    output.sum().backward()
    assert x.grad is None or x.grad.shape == shape
    assert bn.running_mean.tolist() == [0.5] * 3
    assert bn.running_var.tolist() == [1.0] * 3


@claim("bn-counts-what-it-refuses")
def test_counter_of_refused_batches(cell):
    bn = place(cell, nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        bn(cell.tensor(np.zeros((1, 3))))
    assert bn.num_batches_tracked.item() == 1
    bn(cell.tensor(np.zeros((0, 3))))
    assert bn.num_batches_tracked.item() == 2


@claim("bn-tracking-switched-off")
def test_tracking_switched_off_later(cell, rng):
    bn = with_parameters(cell, nn.BatchNorm2d(3), rng)
    cell.run(bn)(cell.tensor(channels_of_unlike_scale(rng, (4, 3, 2, 2))))
    before = [buffer.clone() for buffer in bn.buffers()]
    bn.track_running_stats = False
    x = cell.tensor(channels_of_unlike_scale(rng, (4, 3, 2, 2)))
    assert_normalised(cell, cell.run(bn)(x), to_numpy(x), bn)
    for buffer, kept in zip(bn.buffers(), before, strict=True):
        assert_same(buffer, kept, what="buffer after a training batch")
    mean, variance, weight, bias = (
        column(to_numpy(one), np.empty((1, 3, 1, 1))) for one in (*before[:2], bn.weight, bn.bias)
    )
    scale = weight / np.sqrt(variance + bn.eps)
    expected = (to_numpy(x) - mean) * scale + bias
    bound = gamma(9, accumulation_unit(cell)) * (scale * (np.abs(to_numpy(x)) + np.abs(mean)) + np.abs(bias))
    evaluated = cell.run(bn.eval())(x)
    assert_within(evaluated, expected, bound, what="output in evaluation", because="9 roundings of each term")


@claim("bn-without-buffers")
@pytest.mark.parametrize("training", [True, False])
def test_buffers_taken_away(cell, rng, training):
    bn = with_parameters(cell, nn.BatchNorm2d(3), rng).train(training)
    bn.running_mean = bn.running_var = None
    x = cell.tensor(channels_of_unlike_scale(rng, (4, 3, 2, 2)))
    assert_normalised(cell, cell.run(bn)(x), to_numpy(x), bn)
    bn.num_batches_tracked = None
    assert_normalised(cell, cell.run(bn)(x), to_numpy(x), bn)
    half = with_parameters(cell, nn.BatchNorm2d(3), rng).eval()
    half.running_mean = None
    with pytest.raises(RuntimeError, match="running_mean must be defined in evaluation mode"):
        half(x)


@claim("bn-mixed-dtype-refused")
@pytest.mark.parametrize("training", [True, False])
def test_wider_input(cell, training):
    if not cell.device.is_cpu or cell.dtype != torch.float32:
        pytest.skip("does not apply: said of float64 beside float32 on CPUs")
    bn = place(cell, nn.BatchNorm2d(3)).train(training)
    with pytest.raises(RuntimeError, match=r"mixed dtype \(CPU\)|expected scalar type|Expected"):
        bn(cell.tensor(np.ones((2, 3, 2, 2)), dtype=torch.float64))
    assert bn.running_mean.tolist() == [0.0] * 3


def checkpoint(prefix, version, counted):
    old = OrderedDict(
        {f"{prefix}{name}": torch.full((2,), 7.0) for name in ("weight", "bias", "running_mean", "running_var")}
    )
    if counted:
        old[f"{prefix}num_batches_tracked"] = torch.tensor(9)
    old._metadata = {prefix.rstrip("."): {} if version is None else {"version": version}}
    return old


@claim("bn-old-checkpoint")
@pytest.mark.parametrize("prefix", ["", "0."])
@pytest.mark.parametrize("version", [None, 1, 2, 3])
def test_checkpoint_without_a_counter(prefix, version):
    bn = nn.BatchNorm1d(2)
    module = nn.Sequential(bn) if prefix else bn
    assert bn.state_dict()._metadata[""]["version"] == 2
    bn.num_batches_tracked.fill_(5)
    given = checkpoint(prefix, version, counted=False)
    if version in (2, 3):
        with pytest.raises(RuntimeError, match=rf'Missing key\(s\) in state_dict: "{prefix}num_batches_tracked"'):
            module.load_state_dict(given)
    else:
        assert module.load_state_dict(given) == ([], [])
    assert list(given) == [f"{prefix}{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    assert bn.num_batches_tracked.item() in (0, 5), "releases differ in what the counter is then"
    assert bn.running_var.tolist() == [7.0, 7.0]
    module.load_state_dict(checkpoint(prefix, version, counted=True))
    assert bn.num_batches_tracked.item() == 9


@claim("bn-old-checkpoint")
def test_checkpoint_of_a_layer_that_does_not_track():
    bn = nn.BatchNorm1d(2, track_running_stats=False)
    given = OrderedDict(weight=torch.ones(2), bias=torch.zeros(2))
    assert bn.load_state_dict(given) == ([], [])
    assert bn.num_batches_tracked is None


@claim("bn-old-checkpoint")
def test_checkpoint_into_a_layer_without_memory():
    bn = nn.BatchNorm1d(2, device="meta")
    if "assign" not in nn.Module.load_state_dict.__code__.co_varnames:
        pytest.skip("does not apply: load_state_dict(assign=True) came with PyTorch 2.1")
    assert bn.load_state_dict(checkpoint("", 1, counted=False), assign=True) == ([], [])
    if RELEASE.release >= (2, 13):  # older ones left it without memory
        assert bn.num_batches_tracked.item() == 0
    assert bn.running_mean.tolist() == [7.0, 7.0]


@claim("bn-arguments")
@EVERY_CLASS
def test_arguments(batch_norm):
    bn = batch_norm(3)
    assert (bn.num_features, bn.eps, bn.momentum, bn.affine, bn.track_running_stats) == (3, 1e-5, 0.1, True, True)
    other = batch_norm(3, 0.5, None, False, False)
    assert (other.eps, other.momentum, other.affine, other.track_running_stats) == (0.5, None, False, False)
    assert list(other.state_dict()) == []
    wide = batch_norm(3, dtype=torch.float64)
    assert [one.dtype for one in wide.state_dict().values()] == [torch.float64] * 4 + [torch.int64]
    assert {one.device.type for one in batch_norm(3, device="meta").state_dict().values()} == {"meta"}
    start = [[1.0] * 3, [0.0] * 3, [0.0] * 3, [1.0] * 3, 0]
    for layer, expected in ((bn, start), (batch_norm(3, affine=False), start[2:])):
        for one in layer.state_dict().values():
            one.fill_(7)
        layer.reset_parameters()
        assert [one.tolist() for one in layer.state_dict().values()] == expected
    assert repr(other).endswith("track_running_stats=False)")
