"""SyncBatchNorm without a process group, converted from BatchNorm, and in two processes."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from test_bn.layouts import channels_of_unlike_scale, per_channel, place
from test_bn.test_forward import assert_normalised, with_parameters
from test_bn.test_running import assert_running, train
from torchclaims import claim
from torchclaims.targets import from_numpy, to_numpy
from torchclaims.tolerance import accumulation_unit, assert_same, assert_within, gamma, roundings

SHAPES = [(4, 3), (2, 3, 5), (4, 3, 2, 2), (2, 3, 2, 1, 3), (2, 3, 1, 2, 1, 3)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def assert_evaluated(cell, output, x, bn):
    """``output`` is the formula's with the running statistics."""
    values = to_numpy(x)
    mean, variance, weight, bias = (
        per_channel(to_numpy(one), values.ndim) for one in (bn.running_mean, bn.running_var, bn.weight, bn.bias)
    )
    scale = weight / np.sqrt(variance + bn.eps)
    expected = (values - mean) * scale + bias
    bound = gamma(9, accumulation_unit(cell)) * (np.abs(scale) * (np.abs(values) + np.abs(mean)) + np.abs(bias))
    bound = bound + roundings(cell, 1, expected)
    assert_within(output, expected, bound, what="output in evaluation", because="9 roundings of each term")


def moved(cell, rng, bn):
    """``bn`` with running statistics that differ by channel."""
    with torch.no_grad():
        bn.running_mean.copy_(from_numpy(rng.uniform(-1.0, 1.0, bn.num_features)))
        bn.running_var.copy_(from_numpy(rng.uniform(0.01, 2.0, bn.num_features)))
    return bn


@claim("syncbn-local")
@every_shape
def test_without_a_group(cell, rng, shape):
    bn = moved(cell, rng, with_parameters(cell, nn.SyncBatchNorm(3), rng))
    x = cell.tensor(channels_of_unlike_scale(rng, shape))
    before = [one.clone() for one in bn.buffers()]
    assert_evaluated(cell, cell.run(bn.eval())(x), x, bn)
    for one, kept in zip(bn.buffers(), before, strict=True):
        assert_same(one, kept, what="buffer after evaluation")
    assert_normalised(cell, cell.run(bn.train())(x), to_numpy(x), bn)


@claim("syncbn-running-update")
@every_shape
@pytest.mark.parametrize("momentum", [0.1, 0.3, None])
def test_running_statistics(cell, rng, shape, momentum):
    bn = place(cell, nn.SyncBatchNorm(3) if momentum == 0.1 else nn.SyncBatchNorm(3, momentum=momentum))
    assert_running(cell, bn, train(cell, rng, bn, shape, batches=3), momentum)
    train(cell, rng, bn.eval(), shape)
    assert bn.num_batches_tracked.item() == 3


@claim("syncbn-track-false")
@pytest.mark.parametrize("training", [True, False])
def test_without_tracking(cell, rng, training):
    bn = with_parameters(cell, nn.SyncBatchNorm(3, track_running_stats=False), rng).train(training)
    assert list(bn.buffers()) == []
    assert bn.num_batches_tracked is None
    x = cell.tensor(channels_of_unlike_scale(rng, (4, 3, 2, 2)))
    assert_normalised(cell, cell.run(bn)(x), to_numpy(x), bn)


@claim("syncbn-tracking-switched-off")
def test_tracking_switched_off(cell, rng):
    bn = moved(cell, rng, with_parameters(cell, nn.SyncBatchNorm(3), rng))
    before = [one.clone() for one in bn.buffers()]
    bn.track_running_stats = False
    x = cell.tensor(channels_of_unlike_scale(rng, (4, 3, 2, 2)))
    assert_normalised(cell, cell.run(bn)(x), to_numpy(x), bn)
    for one, kept in zip(bn.buffers(), before, strict=True):
        assert_same(one, kept, what="buffer after a training batch")
    assert_evaluated(cell, cell.run(bn.eval())(x), x, bn)
    bn.running_mean = bn.running_var = None
    assert_normalised(cell, cell.run(bn)(x), to_numpy(x), bn)


@claim("syncbn-arguments")
def test_arguments():
    bn = nn.SyncBatchNorm(3)
    assert list(bn.state_dict()) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert (bn.bias.tolist(), bn.running_mean.tolist(), bn.running_var.tolist()) == ([0.0] * 3, [0.0] * 3, [1.0] * 3)
    assert (bn.num_features, bn.eps, bn.momentum, bn.process_group) == (3, 1e-5, 0.1, None)
    group = object()
    other = nn.SyncBatchNorm(3, 0.5, None, False, False, group)
    assert (other.eps, other.momentum, other.affine, other.track_running_stats) == (0.5, None, False, False)
    assert other.process_group is group
    assert list(other.state_dict()) == []
    assert nn.SyncBatchNorm(3, dtype=torch.float64).weight.dtype == torch.float64


@claim("syncbn-bias-off")
def test_bias_off(cell, rng):
    assert "bias" in inspect.signature(nn.SyncBatchNorm).parameters
    bn = nn.BatchNorm1d(3, bias=False)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(bn)
    for module in (nn.SyncBatchNorm(3, bias=False), converted):
        assert [name for name, _ in module.named_parameters()] == ["weight"]
        assert module.bias is None
        assert "bias=False" in repr(module)
    assert converted.weight is bn.weight
    assert list(nn.SyncBatchNorm(3, affine=False, bias=True).parameters()) == []
    x = cell.tensor([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]])
    output = place(cell, converted)(x)
    assert_within(output, [[-1.0] * 3, [1.0] * 3], 1e-5, what="output", because="eps is 1e-5 beside a variance of 1")


@claim("syncbn-initial-weight")
def test_initial_weight():
    weight = nn.SyncBatchNorm(1000).weight.detach()
    assert len(weight.unique()) > 900, f"{len(weight.unique())} different values, all of them {weight[0]}"


@claim("syncbn-example")
def test_example():
    try:
        bn = nn.BatchNorm3d(100, affine=False, process_group=None)
    except TypeError as error:
        raise AssertionError(f"the example fails: {error}") from None
    assert bn.num_features == 100


@claim("syncbn-input-refused")
def test_refused(cell):
    bn = place(cell, nn.SyncBatchNorm(3))
    for training in (True, False):
        with pytest.raises(ValueError, match=r"expected at least 2D input \(got 1D input\)"):
            bn.train(training)(cell.tensor(np.ones(3)))
        with pytest.raises(ValueError, match="SyncBatchNorm number of input channels should be non-zero"):
            place(cell, nn.SyncBatchNorm(0)).train(training)(cell.tensor(np.ones((2, 0, 3))))
    assert bn.num_batches_tracked.item() == 0
    bn.train()
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        bn(cell.tensor(np.ones((1, 3))))
    assert bn.running_mean.tolist() == [0.0] * 3


def network():
    deep = nn.ModuleDict(
        {"plain": nn.BatchNorm2d(4, affine=False), "instance": nn.InstanceNorm1d(3, track_running_stats=True)}
    )
    return nn.Sequential(
        nn.Linear(2, 3), nn.BatchNorm1d(3, eps=1e-3, momentum=None), deep, nn.BatchNorm3d(2, track_running_stats=False)
    )


OPTIONS = ("num_features", "eps", "momentum", "affine", "track_running_stats")


@claim("syncbn-convert")
def test_conversion():
    net = network()
    net[1].eval()
    net[1].weight.requires_grad_(False)
    net[1].num_batches_tracked.fill_(7)
    before = {name: (module, [getattr(module, one, None) for one in OPTIONS]) for name, module in net.named_modules()}
    tensors = {name: id(one) for name, one in [*net.named_parameters(), *net.named_buffers()]}
    keys, printed = list(net.state_dict()), repr(net)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert converted is net
    assert list(net.state_dict()) == keys
    assert {name: id(one) for name, one in [*net.named_parameters(), *net.named_buffers()]} == tensors
    for name, module in net.named_modules():
        was, options = before[name]
        normalises = isinstance(was, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d))
        assert type(module) is (nn.SyncBatchNorm if normalises else type(was))
        assert (module is was) is not normalises
        assert [getattr(module, one, None) for one in OPTIONS] == options
    assert not net[1].weight.requires_grad
    for dimensions in "123":
        printed = printed.replace(f"BatchNorm{dimensions}d", "SyncBatchNorm")
    assert repr(net) == printed


@claim("syncbn-convert-bare")
@pytest.mark.parametrize("batch_norm", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
def test_conversion_of_a_layer(batch_norm):
    bn = batch_norm(3, eps=0.5, momentum=0.25).eval()
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(bn)
    assert type(converted) is nn.SyncBatchNorm
    assert type(bn) is batch_norm
    assert converted.weight is bn.weight
    assert converted.bias is bn.bias
    assert converted.running_var is bn.running_var
    assert (converted.eps, converted.momentum) == (0.5, 0.25)
    bn.qconfig = "a configuration of quantisation"
    assert nn.SyncBatchNorm.convert_sync_batchnorm(bn).qconfig == bn.qconfig
    other = nn.ReLU()
    assert nn.SyncBatchNorm.convert_sync_batchnorm(other) is other


@claim("syncbn-convert-mode")
def test_mode_of_converted_layers():
    net = network()
    net[1].eval()
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert [one.training for one in converted] == [True, False, True, True]
    assert not nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(3).eval()).training


@claim("syncbn-convert-group")
def test_group_of_converted_layers():
    group = object()
    net = nn.SyncBatchNorm.convert_sync_batchnorm(network(), group)
    groups = [module.process_group for module in net.modules() if isinstance(module, nn.SyncBatchNorm)]
    assert [one is group for one in groups] == [True] * 3
    net = nn.SyncBatchNorm.convert_sync_batchnorm(network())
    assert [module.process_group for module in net.modules() if isinstance(module, nn.SyncBatchNorm)] == [None] * 3


@claim("syncbn-convert-computes-the-same")
@pytest.mark.parametrize("training", [True, False])
def test_converted_network(cell, rng, training):
    bn = moved(cell, rng, with_parameters(cell, nn.BatchNorm2d(3), rng)).train(training)
    net = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(bn)).train(training)
    x = cell.tensor(channels_of_unlike_scale(rng, (4, 3, 2, 2)))
    output = cell.run(net)(x)
    if training:
        assert_normalised(cell, output, to_numpy(x), bn)
        assert bn.num_batches_tracked.item() == 1
    else:
        assert_evaluated(cell, output, x, bn)


@claim("syncbn-two-processes")
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch is built without torch.distributed")
def test_two_processes(tmp_path):
    script = Path(__file__).with_name("in_a_group.py")
    address = f"file://{tmp_path / 'rendezvous'}"
    started = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), "2", address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        finished = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()
    for rank, (out, err) in enumerate(finished):
        assert started[rank].returncode == 0, err
        assert_seen(json.loads(out.splitlines()[-1]))


def assert_seen(seen):
    """What SyncBatchNorm did in one of the processes, for inputs (1, 2), (3, 6) plus its number."""
    assert "SyncBatchNorm expected input tensor to be on GPU" in seen["refusal"]
    assert "SyncBatchNorm expected input tensor to be on GPU" in seen["group refusal"]
    assert seen["running mean"] == [0.0, 0.0]
    assert seen["evaluated"] == [[1.0, 2.0], [3.0, 6.0]], "x - running_mean, which is the number of the process"
    assert np.allclose(seen["without tracking"], [[-1.0, -1.0], [1.0, 1.0]]), "the statistics of this process alone"


@claim("syncbn-two-processes")
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch is built without torch.distributed")
def test_group_of_one_process():
    import torch.distributed as dist

    # In this process, so that faults reach it; a group of one would wait for nobody.
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        bn = nn.SyncBatchNorm(2)
        with pytest.raises(ValueError, match="SyncBatchNorm expected input tensor to be on GPU"):
            bn(torch.ones(4, 2))
        assert bn.running_mean.tolist() == [0.0, 0.0]
        x = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
        assert torch.equal(nn.SyncBatchNorm(2, eps=1e-30).eval()(x), x)
        without = nn.SyncBatchNorm(2, track_running_stats=False).eval()(x)
        assert torch.allclose(without, torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), atol=1e-4)
    finally:
        dist.destroy_process_group()
