"""Instance normalisation, forward and backward, beside the formula; its running statistics; what it refuses."""

import inspect
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from test_norm.common import (
    BECAUSE,
    LAYOUTS,
    WIDTHS,
    backward_bound,
    channels_last,
    column,
    in_float32,
    numbers,
    output_bound,
    statistics_unit,
    summed,
    unlike_scale,
    with_parameters,
)
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

CASES = {
    "1d": (nn.InstanceNorm1d, (2, 3, 5)),
    "1d, one channel": (nn.InstanceNorm1d, (3, 1, 4)),
    "1d, two elements": (nn.InstanceNorm1d, (3, 5, 2)),
    "2d": (nn.InstanceNorm2d, (2, 3, 4, 5)),
    "2d, one column": (nn.InstanceNorm2d, (3, 4, 7, 1)),
    "2d, one sample": (nn.InstanceNorm2d, (1, 3, 4, 3)),
    "2d, many channels": (nn.InstanceNorm2d, (2, 33, 2, 3)),
    "3d": (nn.InstanceNorm3d, (2, 3, 2, 1, 3)),
}
every_case = pytest.mark.parametrize(("layer", "shape"), CASES.values(), ids=CASES)
EVERY_CLASS = pytest.mark.parametrize(
    ("layer", "spatial"), [(nn.InstanceNorm1d, 1), (nn.InstanceNorm2d, 2), (nn.InstanceNorm3d, 3)]
)


def made(cell, rng, layer, channels, **options):
    """An affine layer with parameters that differ by channel, in float32 for half-precision inputs."""
    return in_float32(cell, with_parameters(cell, layer(channels, **({"affine": True} | options)), rng))


def spatial(x):
    return tuple(range(2, x.ndim))


def assert_normalised(cell, output, x, module):
    values = to_numpy(x)
    weight, bias = numbers(module.weight, 1.0), numbers(module.bias, 0.0)
    weight, bias = (column(one, values) if one.ndim else one for one in (weight, bias))
    expected = normalisation.standardise(values, spatial(values), module.eps) * weight + bias
    kept = statistics_unit(cell, module)
    bound = output_bound(cell, values, spatial(values), module.eps, weight, bias, kept)
    assert output.dtype == x.dtype
    assert_within(output, expected, bound, what="output", because=BECAUSE)


@claim("instance-formula")
@every_case
@pytest.mark.parametrize("affine", [True, False])
def test_output(cell, rng, layer, shape, affine):
    module = made(cell, rng, layer, shape[1], affine=affine)
    x = cell.tensor(unlike_scale(rng, shape))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("instance-formula")
@pytest.mark.parametrize("width", WIDTHS[1:])
def test_output_around_vector_widths(cell, rng, width):
    module = made(cell, rng, nn.InstanceNorm1d, 3, eps=0.01)
    x = cell.tensor(unlike_scale(rng, (2, 3, width)))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("instance-formula")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_output_of_views(cell, rng, layout):
    module = made(cell, rng, nn.InstanceNorm2d, 3)
    x = LAYOUTS[layout](cell.tensor(unlike_scale(rng, (2, 3, 4, 5))))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("instance-formula")
def test_output_with_parameters_of_the_same_dtype(cell, rng):
    module = cell.place(made(cell, rng, nn.InstanceNorm2d, 3))
    x = cell.tensor(column([-0.5, 0.0, 1.0], np.empty((2, 3, 4, 5))) + rng.standard_normal((2, 3, 4, 5)))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("instance-conditioning")
@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
@pytest.mark.parametrize("offset", [10.0, 300.0])
def test_output_far_from_zero(cell, rng, layout, offset):
    module = made(cell, rng, nn.InstanceNorm2d, 3)
    x = LAYOUTS[layout](cell.tensor(offset + rng.standard_normal((2, 3, 5, 7))))
    assert_normalised(cell, cell.run(module)(x), x, module)


def assert_gradients(cell, x, grad, module):
    """``x`` and the module's parameters hold the formula's gradients, given the output's gradient ``grad``."""
    values, gradient = to_numpy(x), to_numpy(grad)
    weight = numbers(module.weight, 1.0)
    scaled = gradient * (column(weight, values) if weight.ndim else weight)
    axes = spatial(values)
    expected = normalisation.standardise_backward(scaled, values, axes, module.eps)
    bound = backward_bound(cell, values, axes, module.eps, scaled, gradient, statistics_unit(cell, module))
    because = "sums of n products, conditioned by |mean| / sqrt(variance + eps)"
    # The sum of a gradient that is not contiguous may be rounded to its dtype after each dimension, and so its mean.
    strided = gamma(8, rounding_unit(cell.dtype)) * np.abs(scaled).mean(axes, keepdims=True)
    strided = strided / np.sqrt(values.var(axes, keepdims=True) + module.eps)
    assert_within(
        x.grad, expected, bound.x + strided + roundings(cell, 2, expected), what="input's gradient", because=because
    )
    if module.weight is None:
        return
    others = (0, *axes)
    normalised = normalisation.standardise(values, axes, module.eps)
    grad_weight, bound_weight = summed(cell, gradient * normalised, others, bound.products, values.shape[0])
    assert_within(module.weight.grad, grad_weight, bound_weight, what="weight's gradient", because=because)
    grad_bias, bound_bias = summed(cell, gradient, others, 0.0, values.shape[0] + 2)
    assert_within(module.bias.grad, grad_bias, bound_bias, what="bias' gradient", because=because)


@claim("instance-backward")
@every_case
@pytest.mark.parametrize("affine", [True, False])
def test_gradients(cell, rng, layer, shape, affine):
    module = made(cell, rng, layer, shape[1], affine=affine)
    x = cell.tensor(unlike_scale(rng, shape), requires_grad=True)
    grad = from_numpy(rng.standard_normal(shape)).to(x)
    cell.run(module)(x).backward(grad)
    assert_gradients(cell, x, grad, module)


@claim("instance-backward")
@pytest.mark.parametrize("layout", [*LAYOUTS, "expanded"])
def test_gradients_of_views(cell, rng, layout):
    module = made(cell, rng, nn.InstanceNorm2d, 3)
    values = rng.standard_normal((2, 3, 4, 5))
    x = cell.tensor(unlike_scale(rng, values.shape), requires_grad=True)
    if layout == "expanded":
        grad = cell.tensor(values[:, :1, :1, :1]).expand(values.shape)
    else:
        grad = LAYOUTS[layout](cell.tensor(values))
    cell.run(module)(x).backward(grad)
    assert_gradients(cell, x, grad, module)


@claim("instance-backward")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch", [1, 2])
def test_gradients_of_a_view(cell, rng, layout, batch):
    module = made(cell, rng, nn.InstanceNorm2d, 3)
    x = LAYOUTS[layout](cell.tensor(unlike_scale(rng, (batch, 3, 4, 5)))).detach().requires_grad_()
    grad = cell.tensor(rng.standard_normal(tuple(x.shape)))
    cell.run(module)(x).backward(grad)
    assert_gradients(cell, x, grad, module)


@claim("instance-backward-one-sample")
@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.InstanceNorm2d, (1, 3, 2, 5)), (nn.InstanceNorm3d, (1, 3, 2, 2, 3))], ids=["2d", "3d"]
)
@pytest.mark.parametrize("laid_out", ["channels last", "as tokens"])
def test_gradients_of_one_sample(cell, layer, shape, laid_out):
    module = cell.place(layer(3, affine=True)).to(torch.float32 if cell.dtype != torch.float64 else torch.float64)
    # Whole numbers, so that what is seen where this deviates is the same each time.
    values = np.arange(np.prod(shape)).reshape(shape)
    x = cell.tensor(values * 5 % 7, requires_grad=True)
    y = cell.run(module)(x)
    grad = cell.tensor(values * 3 % 11 - 4)
    if laid_out == "channels last":
        y.backward(channels_last(grad))
    else:  # as attention over the positions would take it: (positions, channels)
        tokens = [one.movedim(1, -1).reshape(-1, 3).contiguous() for one in (y, grad)]
        (tokens[0] * tokens[1]).sum().backward()
    assert_gradients(cell, x, grad, module)


@claim("instance-same-in-evaluation")
@every_case
def test_evaluation_without_tracking(cell, rng, layer, shape):
    module = made(cell, rng, layer, shape[1]).eval()
    x = cell.tensor(unlike_scale(rng, shape))
    assert_normalised(cell, cell.run(module)(x), x, module)
    assert list(module.buffers()) == []


@claim("instance-defaults")
@EVERY_CLASS
def test_defaults(layer, spatial):
    plain = layer(3)
    assert (list(plain.state_dict()), plain.eps, plain.momentum) == ([], 1e-5, 0.1)
    assert (plain.num_features, plain.affine, plain.track_running_stats) == (3, False, False)
    assert [plain.weight, plain.bias, plain.running_mean, plain.running_var] == [None] * 4
    affine = layer(3, 0.01, 0.2, True)
    assert (affine.eps, affine.momentum, [name for name, _ in affine.named_parameters()]) == (
        0.01,
        0.2,
        ["weight", "bias"],
    )
    assert_same(affine.weight.detach(), torch.ones(3), what="weight")
    assert_same(affine.bias.detach(), torch.zeros(3), what="bias")
    tracking = layer(3, track_running_stats=True, dtype=torch.float64)
    assert list(tracking.state_dict()) == ["running_mean", "running_var", "num_batches_tracked"]
    assert_same(tracking.running_mean, torch.zeros(3, dtype=torch.float64), what="running mean")
    assert_same(tracking.running_var, torch.ones(3, dtype=torch.float64), what="running variance")
    for parameter in affine.parameters():
        parameter.data.fill_(5.0)
    affine.reset_parameters()
    assert [parameter.tolist() for parameter in affine.parameters()] == [[1.0] * 3, [0.0] * 3]


@claim("instance-prints-arguments")
def test_printed_form():
    text = repr(nn.InstanceNorm1d(3, eps=0.01, momentum=0.2, affine=True))
    assert text.startswith("InstanceNorm1d(3, eps=0.01, momentum=0.2, affine=True, ")
    assert text.endswith("track_running_stats=False)")
    assert "affine=False" in repr(nn.InstanceNorm2d(3, track_running_stats=True))
    assert "track_running_stats=True" in repr(nn.InstanceNorm3d(3, track_running_stats=True))


@claim("instance-bias-off")
@EVERY_CLASS
def test_bias_off(cell, rng, layer, spatial):
    assert "bias" in inspect.signature(layer).parameters
    module = made(cell, rng, layer, 3, bias=False)
    assert [name for name, _ in module.named_parameters()] == ["weight"]
    assert list(layer(3, affine=False, bias=True).parameters()) == []
    x = cell.tensor(unlike_scale(rng, (2, 3, *(4, 3, 2)[:spatial])))
    assert_normalised(cell, cell.run(module)(x), x, module)


def assert_running(cell, module, batches, momentum, estimate):
    """running_mean and running_var after ``batches``; ``estimate`` turns the biased variance into what is tracked."""
    channels = batches[0].shape[1]
    mean, variance = np.zeros(channels), np.ones(channels)
    slack = np.zeros(channels), np.zeros(channels)
    for x in batches:
        bound = normalisation_bound(cell, x, spatial(x), module.eps)
        mean = (1 - momentum) * mean + momentum * x.mean((0, *spatial(x)))
        count = np.prod(x.shape[2:])
        variance = (1 - momentum) * variance + momentum * estimate(x.var(spatial(x)), count).mean(0)
        slack = slack[0] + bound.mean.mean(0).ravel(), slack[1] + estimate(bound.variance, count).mean(0).ravel()
    unit = gamma(6 * len(batches) + len(batches[0]) + 4, accumulation_unit(cell))
    sizes = [np.abs(np.concatenate([x.ravel() for x in batches])).max(), 1 + max(x.var() for x in batches) * 4]
    because = "errors of the batch statistics, and a few roundings an update"
    assert_within(module.running_mean, mean, slack[0] + unit * sizes[0], what="running mean", because=because)
    assert_within(module.running_var, variance, slack[1] + unit * sizes[1], what="running variance", because=because)


def unbiased(variance, count):
    return variance * count / (count - 1)


@claim("instance-running-mean", "instance-running-var")
@EVERY_CLASS
@pytest.mark.parametrize("momentum", [None, 0.3, 1.0], ids=["default", "0.3", "1"])
def test_running_statistics(cell, rng, layer, spatial, momentum):
    options = {} if momentum is None else {"momentum": momentum}
    module = made(cell, rng, layer, 3, track_running_stats=True, **options)
    batches = []
    for _ in range(3):
        x = cell.tensor(unlike_scale(rng, (4, 3, *(3, 1, 2)[:spatial])))
        cell.run(module)(x)
        batches.append(to_numpy(x))
    assert_running(cell, module, batches, 0.1 if momentum is None else momentum, unbiased)


@claim("instance-running-var-as-computed")
@EVERY_CLASS
def test_running_variance_is_the_computed_one(cell, layer, spatial):
    # Of {0, 2} the biased variance is 1 and the unbiased one 2.
    module = cell.place(layer(1, momentum=1.0, track_running_stats=True))
    cell.run(module)(cell.tensor([0.0, 2.0]).reshape(1, 1, 2, *(1,) * (spatial - 1)))
    assert_within(module.running_var, [1.0], 8 * rounding_unit(cell.dtype), what="running variance", because="exact")


@claim("instance-evaluation-uses-running")
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 1, 1), (3, 4, 5)], ids=["batch", "one element", "unbatched"])
def test_evaluation_with_running_statistics(cell, rng, shape):
    channels = 3
    module = made(cell, rng, nn.InstanceNorm2d, channels, track_running_stats=True)
    with torch.no_grad():
        module.running_mean.copy_(from_numpy(rng.uniform(-1.0, 1.0, channels)))
        module.running_var.copy_(from_numpy(rng.uniform(0.001, 2.0, channels)))
    module.eval()
    before = [buffer.clone() for buffer in module.buffers()]
    x = cell.tensor(rng.standard_normal(shape), requires_grad=True)
    grad = cell.tensor(rng.standard_normal(shape))
    output = cell.run(module)(x)
    output.backward(grad)
    values = to_numpy(x).reshape(-1, *shape[-3:])
    mean, variance, weight, bias = (
        column(to_numpy(one), values) for one in (module.running_mean, module.running_var, module.weight, module.bias)
    )
    scale = weight / np.sqrt(variance + module.eps)
    expected = (values - mean) * scale + bias
    bound = gamma(8, accumulation_unit(cell)) * (scale * (np.abs(values) + np.abs(mean)) + np.abs(bias))
    assert_within(
        output,
        expected.reshape(shape),
        (bound + roundings(cell, 1, expected)).reshape(shape),
        what="output",
        because="8 roundings of each term",
    )
    wanted = (to_numpy(grad).reshape(values.shape) * scale).reshape(shape)
    assert_within(x.grad, wanted, roundings(cell, 8, wanted), what="input's gradient", because="8 roundings")
    for buffer, kept in zip(module.buffers(), before, strict=True):
        assert_same(buffer, kept, what="running statistics after evaluation")


@claim("instance-unbatched")
@EVERY_CLASS
@pytest.mark.parametrize("tracking", [False, True])
@pytest.mark.parametrize(("channels", "sizes"), [(3, (5, 2, 3)), (1, (5, 1, 1))], ids=["", "of sizes 1"])
def test_without_batch_dimension(cell, rng, layer, spatial, tracking, channels, sizes):
    module = made(cell, rng, layer, channels, track_running_stats=tracking)
    x = cell.tensor(unlike_scale(rng, (channels, *sizes[:spatial]), axis=0))
    output = cell.run(module)(x)
    assert output.shape == x.shape
    assert_normalised(cell, output.unsqueeze(0), x.unsqueeze(0), module)
    if tracking:
        assert_running(cell, module, [to_numpy(x)[None]], 0.1, unbiased)


@claim("instance-empty-batch")
@EVERY_CLASS
def test_empty_batch(cell, layer, spatial):
    assert_empty(cell, cell.place(layer(3)), spatial)


@claim("instance-empty-batch-with-affine")
@EVERY_CLASS
def test_empty_batch_with_parameters(cell, layer, spatial):
    assert_empty(cell, cell.place(layer(3, affine=True)), spatial)


def assert_empty(cell, module, spatial):
    x = cell.tensor(np.zeros((0, 3, *(4, 2, 3)[:spatial])), requires_grad=True)
    output = cell.run(module)(x)
    assert output.shape == x.shape
    output.sum().backward()
    assert x.grad.shape == x.shape
    assert all(not parameter.grad.any() for parameter in module.parameters() if parameter.grad is not None)


@claim("instance-input-dimensions")
@pytest.mark.parametrize(
    ("layer", "dimensions", "expected"),
    [
        (layer, dimensions, expected)
        for layer, expected, refused in (
            (nn.InstanceNorm1d, "2D or 3D", (1, 4, 5)),
            (nn.InstanceNorm2d, "3D or 4D", (2, 5)),
            (nn.InstanceNorm3d, "4D or 5D", (3, 6)),
        )
        for dimensions in refused
    ],
)
def test_other_dimensions(cell, layer, dimensions, expected):
    module = cell.place(layer(3, track_running_stats=True))
    with pytest.raises(ValueError, match=rf"expected {expected} input \(got {dimensions}D input\)"):
        module(cell.tensor(np.ones((3,) * dimensions)))
    assert_same(module.running_mean, torch.zeros_like(module.running_mean), what="running mean after the error")


@claim("instance-one-element")
@EVERY_CLASS
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch", [1, 4])
def test_one_element_a_channel(cell, layer, spatial, training, batch):
    x = cell.tensor(np.ones((batch, 3, *(1, 1, 1)[:spatial])))
    module = cell.place(layer(3)).train(training)
    with pytest.raises(ValueError, match="Expected more than 1 spatial element when training, got input size"):
        module(x)
    tracking = cell.place(layer(3, track_running_stats=True))
    with pytest.raises(ValueError, match="Expected more than 1 spatial element when training, got input size"):
        tracking(x)
    assert_same(tracking.running_mean, torch.zeros_like(tracking.running_mean), what="running mean after the error")
    two = cell.tensor(np.ones((batch, 3, *(1,) * (spatial - 1), 2)))
    assert module(two).shape == two.shape


@claim("instance-channels-with-affine")
@EVERY_CLASS
@pytest.mark.parametrize("batched", [True, False])
def test_other_number_of_channels(cell, rng, layer, spatial, batched):
    module = cell.place(layer(4, affine=True, track_running_stats=True))
    shape = (3, *(5, 2, 6)[:spatial])
    x = cell.tensor(rng.standard_normal((2, *shape) if batched else shape))
    with pytest.raises(
        ValueError,
        match=rf"expected input's size at dim={1 if batched else 0} to match num_features \(4\), but got: 3",
    ):
        module(x)
    assert_same(module.running_mean, torch.zeros_like(module.running_mean), what="running mean after the error")
    # Without parameters num_features is not used; whether that is a warning or an error is not said.
    plain = cell.place(layer(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plain(x).shape == x.shape


@claim("instance-channels-without-affine")
@EVERY_CLASS
@pytest.mark.parametrize("batched", [True, False])
def test_other_number_of_channels_without_affine(cell, rng, layer, spatial, batched):
    module = cell.place(layer(4))
    shape = (3, *(5, 2, 6)[:spatial])
    x = cell.tensor(rng.standard_normal((2, *shape) if batched else shape))
    with pytest.warns(UserWarning, match=f"input's size at dim={1 if batched else 0} does not match num_features"):
        output = module(x)
    assert_normalised(cell, output if batched else output[None], x if batched else x[None], module)


@claim("instance-momentum-none")
@EVERY_CLASS
def test_momentum_none(cell, rng, layer, spatial):
    module = cell.place(layer(3, momentum=None, track_running_stats=True))
    x = cell.tensor(rng.standard_normal((2, 3, *(5, 2, 6)[:spatial])))
    assert_normalised(cell, cell.run(module)(x), x, module)
    assert (module.running_mean.tolist(), module.running_var.tolist()) == ([0.0] * 3, [1.0] * 3)


@claim("instance-old-checkpoint")
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "names", [("running_mean", "running_var"), ("running_var",)], ids=["both", "the variance alone"]
)
def test_checkpoint_from_before_versions(strict, names):
    old = {name: torch.full((3,), 7.0) for name in names}
    module = nn.InstanceNorm1d(3)
    listed = " and ".join(f'"{name}"' for name in names)
    with pytest.raises(
        RuntimeError, match=rf"Unexpected running stats buffer\(s\) {listed} for InstanceNorm1d"
    ) as info:
        module.load_state_dict(dict(old), strict=strict)
    assert "Unexpected key" not in str(info.value)
    assert module.running_mean is None
    tracking = nn.InstanceNorm1d(3, track_running_stats=True)
    tracking.load_state_dict(dict(old), strict=False)
    assert_same(tracking.running_var, old["running_var"], what="running variance that was loaded")
    named = nn.InstanceNorm1d(3, track_running_stats=True).state_dict()
    with pytest.raises(RuntimeError, match="Unexpected key") as info:
        module.load_state_dict(named)
    assert "running stats buffer" not in str(info.value)
    assert module.load_state_dict(named, strict=False).unexpected_keys == list(named)
    assert module.load_state_dict({}).missing_keys == []
    nested = nn.Sequential(nn.InstanceNorm1d(3))
    with pytest.raises(RuntimeError, match=r"Unexpected running stats buffer\(s\) \"0\.running_var\""):
        nested.load_state_dict({"0.running_var": torch.ones(3)}, strict=strict)


@claim("instance-functional-agrees")
@pytest.mark.parametrize("own", [True, False], ids=["input's statistics", "given statistics"])
def test_functional(cell, rng, own):
    x = cell.tensor(unlike_scale(rng, (2, 3, 5)))
    mean, variance = cell.tensor([0.5, -0.5, 0.0]), cell.tensor([1.0, 0.25, 4.0])
    values = to_numpy(x)
    if own:
        expected = normalisation.standardise(values, (2,), 1e-5)
        output = cell.run(nn.functional.instance_norm)(x)
        bound = normalisation_bound(cell, values, (2,), 1e-5).output
    else:
        expected = (values - [[0.5], [-0.5], [0.0]]) / np.sqrt(np.array([[1.0], [0.25], [4.0]]) + 1e-5)
        output = cell.run(nn.functional.instance_norm)(x, mean, variance, use_input_stats=False)
        bound = gamma(8, accumulation_unit(cell)) * (2 * np.abs(values) + 2)
        with pytest.raises(RuntimeError, match="to be defined when use_input_stats is false"):
            nn.functional.instance_norm(x, use_input_stats=False)
    assert_within(output, expected, bound, what="output", because=BECAUSE)
    assert_same(mean, cell.tensor([0.5, -0.5, 0.0]), what="the given mean")
