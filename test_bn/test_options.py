"""Options of the constructor, what is printed, and what is refused."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

from test_bn.layouts import LAYOUTS, channels_of_unlike_scale, other_axes, place
from torchclaims import claim
from torchclaims.reference import normalisation
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, normalisation_bound, rounding_unit

EVERY_CLASS = pytest.mark.parametrize("batch_norm", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])


@claim("bn-two-parameters-a-channel")
@EVERY_CLASS
def test_parameters_a_channel(batch_norm):
    assert {name: tuple(p.shape) for name, p in batch_norm(7).named_parameters()} == {
        "weight": (7,),
        "bias": (7,),
    }
    assert list(batch_norm(7, affine=False).parameters()) == []


@claim("bn-affine-off")
def test_affine_off(cell, rng):
    bn = place(cell, nn.BatchNorm2d(3, affine=False))
    assert bn.weight is None
    assert bn.bias is None
    x = cell.tensor(channels_of_unlike_scale(rng, (4, 3, 2, 2)))
    values = to_numpy(x)
    bound = normalisation_bound(cell, values, other_axes(values), bn.eps)
    expected = normalisation.batch_norm(values, bn.eps)
    assert_within(
        cell.run(bn)(x),
        expected,
        bound.output,
        what="output",
        because="rounding of mean, variance and x * a + b",
    )


@claim("bn-affine-off")
def test_affine_off_in_evaluation(cell, rng):
    bn = place(cell, nn.BatchNorm2d(2, affine=False, eps=1e-30)).eval()
    bn.running_mean.copy_(cell.tensor([-0.5, 2.0]))
    bn.running_var.copy_(cell.tensor([4.0, 0.25]))
    x = cell.tensor(rng.integers(-8, 9, (3, 2, 2, 2)))
    expected = (to_numpy(x) - [[[-0.5]], [[2.0]]]) * [[[0.5]], [[2.0]]]
    assert_within(cell.run(bn)(x), expected, 8 * rounding_unit(cell.dtype) * 17, what="output", because="8 roundings")


@claim("bn-bias-off")
@EVERY_CLASS
def test_bias_off(batch_norm):
    assert "bias" in inspect.signature(batch_norm).parameters
    bn = batch_norm(7, bias=False)
    assert [name for name, _ in bn.named_parameters()] == ["weight"]
    assert bn.bias is None
    assert list(batch_norm(7, affine=False, bias=True).parameters()) == []


@claim("bn-initial-values")
@EVERY_CLASS
@pytest.mark.parametrize("channels", [1, 64])
def test_initial_values(cell, batch_norm, channels):
    state = place(cell, batch_norm(channels)).state_dict()
    for name, value in {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}.items():
        assert_same(state[name], torch.full_like(state[name], value), what=name)
    assert state["num_batches_tracked"].item() == 0


@claim("bn-prints-momentum")
@pytest.mark.parametrize("name", LAYOUTS)
def test_printed_form(name):
    batch_norm, _ = LAYOUTS[name]
    bn = batch_norm(3)
    assert repr(bn).startswith(f"{batch_norm.__name__}(3, eps=1e-05, momentum=0.1, affine=True")
    assert "track_running_stats=True" in repr(bn)
    bn.momentum = 1
    assert "momentum=1, " in repr(bn)


@claim("bn-argument-is-channels")
@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("training", [True, False])
def test_other_number_of_channels(cell, rng, name, training):
    batch_norm, shape = LAYOUTS[name]
    bn = place(cell, batch_norm(shape[1] + 1)).train(training)
    before = bn.running_mean.clone()
    with pytest.raises(RuntimeError, match=r"running_mean should contain \d+ elements not \d+"):
        bn(cell.tensor(rng.standard_normal(shape)))
    assert_same(bn.running_mean, before, what="running mean after the error")
    assert bn.num_features == shape[1] + 1


@claim("bn-one-value-a-channel")
@pytest.mark.parametrize(
    ("batch_norm", "shape"),
    [
        (nn.BatchNorm1d, (1, 3)),
        (nn.BatchNorm1d, (1, 3, 1)),
        (nn.BatchNorm2d, (1, 3, 1, 1)),
        (nn.BatchNorm3d, (1, 3, 1, 1, 1)),
    ],
)
@pytest.mark.parametrize("track", [True, False])
def test_one_value_a_channel(cell, rng, batch_norm, shape, track):
    bn = place(cell, batch_norm(3, track_running_stats=track))
    x = cell.tensor(rng.standard_normal(shape))
    before = {name: buffer.clone() for name, buffer in bn.named_buffers() if name != "num_batches_tracked"}
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training, got input size"):
        bn(x)
    for name, kept in before.items():
        assert_same(bn.get_buffer(name), kept, what=f"{name} after the error")
    if track:
        assert bn.eval()(x).shape == shape


@claim("bn-input-dimensions")
@pytest.mark.parametrize(
    ("batch_norm", "dimensions", "expected"),
    [
        (batch_norm, dimensions, expected)
        for batch_norm, expected, refused in (
            (nn.BatchNorm1d, "2D or 3D", (1, 4, 5)),
            (nn.BatchNorm2d, "4D", (2, 3, 5)),
            (nn.BatchNorm3d, "5D", (2, 3, 4)),
        )
        for dimensions in refused
    ],
)
def test_other_dimensions(cell, batch_norm, dimensions, expected):
    bn = place(cell, batch_norm(3))
    with pytest.raises(ValueError, match=rf"expected {expected} input \(got {dimensions}D input\)"):
        bn(cell.tensor(np.zeros((3,) * dimensions)))
    assert bn.num_batches_tracked.item() == 0


@claim("bn-functional-defaults")
def test_functional_defaults_to_evaluation(cell, rng):
    x = cell.tensor(channels_of_unlike_scale(rng, (4, 3, 2, 2)))
    mean, variance = cell.tensor([0.0, 1.0, 2.0]), cell.tensor([1.0, 0.25, 4.0])
    kept = mean.clone(), variance.clone()
    evaluated = cell.run(nn.functional.batch_norm)(x, mean, variance)
    assert_same(evaluated, cell.run(nn.functional.batch_norm)(x, mean, variance, training=False), what="output")
    assert_same(mean, kept[0], what="running mean")
    assert_same(variance, kept[1], what="running variance")
    trained = cell.run(nn.functional.batch_norm)(x, mean, variance, training=True)
    assert not torch.equal(evaluated, trained)
    assert not torch.equal(mean, kept[0])
    with pytest.raises(RuntimeError, match="running_mean must be defined in evaluation mode"):
        nn.functional.batch_norm(x, None, None)
