"""Group normalisation, forward and backward, beside the formula; its relatives; what it refuses."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

from test_norm.common import (
    BECAUSE,
    LAYOUTS,
    WIDTHS,
    backward_bound,
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
from torchclaims.targets import RELEASE, to_numpy
from torchclaims.tolerance import assert_same, assert_within, roundings

CASES = {
    "two groups": (2, (2, 6, 3, 5)),
    "three groups": (3, (2, 6, 2, 3)),
    "one group": (1, (2, 4, 3, 2)),
    "a group a channel": (4, (2, 4, 3, 5)),
    "without spatial dimensions": (2, (3, 8)),
    "one spatial dimension": (3, (2, 6, 7)),
    "three spatial dimensions": (2, (2, 4, 2, 3, 2)),
    "one column": (2, (3, 4, 5, 1)),
    "one pixel": (2, (2, 6, 1, 1)),
    "one sample": (2, (1, 4, 3, 3)),
    "many channels": (4, (2, 32, 1, 3)),
    "many groups": (33, (1, 66, 2, 1)),
}
every_case = pytest.mark.parametrize(("groups", "shape"), CASES.values(), ids=CASES)


def grouped(x, groups):
    return x.reshape(x.shape[0], groups, -1)


def made(cell, rng, groups, channels, **options):
    return with_parameters(cell, nn.GroupNorm(groups, channels, **options), rng)


def assert_normalised(cell, output, x, module, kept=None):
    """``output`` is the formula's for input ``x``; ``kept`` as in output_bound."""
    values = to_numpy(x)
    groups = module.num_groups
    weight, bias = (
        grouped(np.broadcast_to(column(one, values) if one.ndim else one, values.shape), groups)
        for one in (numbers(module.weight, 1.0), numbers(module.bias, 0.0))
    )
    expected = normalisation.standardise(grouped(values, groups), (2,), module.eps) * weight + bias
    kept = statistics_unit(cell, module) if kept is None else kept
    bound = output_bound(cell, grouped(values, groups), (2,), module.eps, weight, bias, kept)
    assert output.dtype == x.dtype
    assert_within(output, expected.reshape(values.shape), bound.reshape(values.shape), what="output", because=BECAUSE)


@claim("group-formula")
@every_case
@pytest.mark.parametrize("affine", [True, False])
def test_output(cell, rng, groups, shape, affine):
    module = made(cell, rng, groups, shape[1], affine=affine)
    x = cell.tensor(unlike_scale(rng, shape))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("group-formula")
@pytest.mark.parametrize("width", WIDTHS)
def test_output_around_vector_widths(cell, rng, width):
    module = made(cell, rng, 2, 4, eps=0.01)
    x = cell.tensor(unlike_scale(rng, (2, 4, width)))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("group-formula")
@pytest.mark.parametrize("width", WIDTHS)
def test_output_with_channels_around_vector_widths(cell, rng, width):
    module = made(cell, rng, 2, 2 * width, eps=0.01)
    x = cell.tensor(unlike_scale(rng, (2, 2 * width, 2, 3)))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("group-formula")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_output_of_views(cell, rng, layout):
    module = made(cell, rng, 2, 6)
    x = LAYOUTS[layout](cell.tensor(unlike_scale(rng, (2, 6, 4, 5))))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("group-mixed-dtype")
@every_case
def test_output_of_half_precision_with_parameters_in_float32(cell, rng, groups, shape):
    module = in_float32(cell, made(cell, rng, groups, shape[1]))
    x = cell.tensor(unlike_scale(rng, shape))
    assert_normalised(cell, cell.run(module)(x), x, module, kept=0.0)


def far_from_zero(cell, rng, layout, offset):
    module = made(cell, rng, 2, 6)
    x = LAYOUTS[layout](cell.tensor(offset + rng.standard_normal((2, 6, 5, 7))))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("group-conditioning")
@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
@pytest.mark.parametrize("offset", [30.0, 1000.0])
def test_output_far_from_zero(cell, rng, layout, offset):
    far_from_zero(cell, rng, layout, offset)


@claim("group-conditioning-channels-last")
def test_output_far_from_zero_in_channels_last(cell, rng):
    # Eighths, whose squares and sums are exact in float64: a variance that is off is off by rounding alone.
    module = cell.place(nn.GroupNorm(1, 2))
    sign = np.where(np.arange(32).reshape(1, 2, 4, 4) % 2, 0.5, -0.5)
    offset = 4096.0 if cell.dtype == torch.float32 else 2.0**27
    x = LAYOUTS["channels last"](cell.tensor(offset + sign))
    assert_normalised(cell, cell.run(module)(x), x, module)


def assert_gradients(cell, x, grad, module):
    """``x`` and the module's parameters hold the formula's gradients, given the output's gradient ``grad``."""
    if cell.dtype == torch.bfloat16 and RELEASE.release < (2, 1):
        pytest.skip("does not apply: before PyTorch 2.1 the gradients of bfloat16 were summed in bfloat16")
    values, gradient, groups = to_numpy(x), to_numpy(grad), module.num_groups
    weight = numbers(module.weight, 1.0)
    scaled = gradient * (column(weight, values) if weight.ndim else weight)
    inputs = [grouped(one, groups) for one in (values, scaled, gradient)]
    expected = normalisation.standardise_backward(inputs[1], inputs[0], (2,), module.eps).reshape(values.shape)
    bound = backward_bound(cell, inputs[0], (2,), module.eps, inputs[1], inputs[2], statistics_unit(cell, module))
    because = "sums of n products, conditioned by |mean| / sqrt(variance + eps)"
    assert_within(
        x.grad,
        expected,
        bound.x.reshape(values.shape) + roundings(cell, 2, expected),
        what="input's gradient",
        because=because,
    )
    if module.weight is None:
        return
    axes = (0, *range(2, values.ndim))
    normalised = normalisation.standardise(inputs[0], (2,), module.eps).reshape(values.shape)
    products = bound.products.reshape(values.shape)
    grad_weight, bound_weight = summed(cell, gradient * normalised, axes, products, len(values))
    assert_within(module.weight.grad, grad_weight, bound_weight, what="weight's gradient", because=because)
    if module.bias is not None:
        grad_bias, bound_bias = summed(cell, gradient, axes, 0.0, len(values))
        assert_within(module.bias.grad, grad_bias, bound_bias, what="bias' gradient", because=because)


@claim("group-backward")
@every_case
@pytest.mark.parametrize("affine", [True, False, "without a bias"])
def test_gradients(cell, rng, groups, shape, affine):
    module = made(cell, rng, groups, shape[1], affine=bool(affine))
    if affine == "without a bias":
        module.register_parameter("bias", None)
    x = cell.tensor(unlike_scale(rng, shape), requires_grad=True)
    grad = cell.tensor(rng.standard_normal(shape))
    cell.run(module)(x).backward(grad)
    assert_gradients(cell, x, grad, module)


@claim("group-backward")
@pytest.mark.parametrize("layout", [*LAYOUTS, "expanded"])
@pytest.mark.parametrize("batch", [1, 3])
def test_gradients_of_views(cell, rng, layout, batch):
    module = made(cell, rng, 2, 4)
    values = rng.standard_normal((batch, 4, 3, 5))
    x = cell.tensor(unlike_scale(rng, values.shape), requires_grad=True)
    grad = cell.tensor(values)
    grad = grad[:, :1, :1, :1].expand(values.shape) if layout == "expanded" else LAYOUTS[layout](grad)
    cell.run(module)(x).backward(grad)
    assert_gradients(cell, x, grad, module)


@claim("group-backward")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch", [1, 3])
def test_gradients_of_a_view(cell, rng, layout, batch):
    module = made(cell, rng, 2, 4)
    x = LAYOUTS[layout](cell.tensor(unlike_scale(rng, (batch, 4, 3, 5)))).detach().requires_grad_()
    grad = cell.tensor(rng.standard_normal(tuple(x.shape)))
    cell.run(module)(x).backward(grad)
    assert_gradients(cell, x, grad, module)


@claim("group-affine-a-channel")
def test_parameters(cell, rng):
    module = cell.place(nn.GroupNorm(2, 6))
    assert {name: one.tolist() for name, one in module.named_parameters()} == {"weight": [1.0] * 6, "bias": [0.0] * 6}
    assert (module.eps, module.affine, module.num_groups, module.num_channels) == (1e-5, True, 2, 6)
    with torch.no_grad():
        module.weight.fill_(3.0)
        module.bias.fill_(3.0)
    module.reset_parameters()
    assert [one.tolist() for one in module.parameters()] == [[1.0] * 6, [0.0] * 6]
    plain = cell.place(nn.GroupNorm(2, 6, affine=False))
    assert list(plain.state_dict()) == []
    assert (plain.weight, plain.bias) == (None, None)
    x = cell.tensor(unlike_scale(rng, (2, 6, 4)))
    assert_normalised(cell, cell.run(plain)(x), x, plain)
    assert nn.GroupNorm(1, 2, dtype=torch.float64).weight.dtype == torch.float64
    positional = nn.GroupNorm(2, 4, 0.25, False)
    assert (positional.eps, positional.weight) == (0.25, None)


@claim("group-bias-off")
def test_bias_off(cell, rng):
    assert "bias" in inspect.signature(nn.GroupNorm).parameters
    module = made(cell, rng, 2, 6, bias=False)
    assert [name for name, _ in module.named_parameters()] == ["weight"]
    assert module.bias is None
    assert list(nn.GroupNorm(2, 6, affine=False, bias=True).parameters()) == []
    assert "bias=False" in repr(module)
    x = cell.tensor(unlike_scale(rng, (2, 6, 4)))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("group-one-is-layer-norm")
@pytest.mark.parametrize("shape", [(2, 6, 10), (2, 4, 3, 5)])
def test_one_group_beside_layer_norm(cell, rng, shape):
    x = cell.tensor(unlike_scale(rng, shape))
    outputs = [
        cell.run(in_float32(cell, cell.place(module)))(x)
        for module in (nn.GroupNorm(1, shape[1]), nn.LayerNorm(shape[1:]))
    ]
    values = to_numpy(x).reshape(shape[0], -1)
    bound = 2 * output_bound(cell, values, (1,), 1e-5).reshape(shape)
    assert_within(outputs[0], to_numpy(outputs[1]), bound, what="GroupNorm beside LayerNorm", because=BECAUSE)


@claim("group-each-is-instance-norm")
@pytest.mark.parametrize("shape", [(2, 6, 10), (2, 4, 3, 5), (1, 2, 2, 3, 2)])
def test_a_group_a_channel_beside_instance_norm(cell, rng, shape):
    x = cell.tensor(unlike_scale(rng, shape))
    instance = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}[len(shape)](shape[1], affine=True)
    group = nn.GroupNorm(shape[1], shape[1])
    outputs = [cell.run(in_float32(cell, cell.place(module)))(x) for module in (group, instance)]
    values = to_numpy(x)
    bound = 2 * output_bound(cell, values, tuple(range(2, values.ndim)), 1e-5)
    assert_within(outputs[0], to_numpy(outputs[1]), bound, what="GroupNorm beside InstanceNorm", because=BECAUSE)


@claim("group-samples-are-independent")
def test_samples_and_groups(cell, rng):
    module = cell.place(nn.GroupNorm(3, 6))
    values = rng.standard_normal((4, 6, 3))
    whole = to_numpy(cell.run(module)(cell.tensor(values)))
    bound = 2 * output_bound(cell, grouped(values, 3), (2,), 1e-5).reshape(values.shape)
    alone = cell.run(module)(cell.tensor(values[2:3]))
    assert_within(alone, whole[2:3], bound[2:3], what="a sample alone", because=BECAUSE)
    order = [2, 3, 0, 1, 4, 5]
    exchanged = cell.run(module)(cell.tensor(values[:, order]))
    assert_within(exchanged, whole[:, order], bound[:, order], what="exchanged groups", because=BECAUSE)


@claim("group-same-in-evaluation")
def test_evaluation(cell, rng):
    module = made(cell, rng, 2, 4)
    x = cell.tensor(unlike_scale(rng, (3, 4, 5)))
    trained = cell.run(module.train())(x)
    assert_normalised(cell, trained, x, module)
    assert_same(cell.run(module.eval())(x), trained, what="output in evaluation")
    assert list(module.buffers()) == []


@claim("group-constant")
@pytest.mark.parametrize("value", [3.0, 0.1, 100.0, 0.0, -1e6])
@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
def test_constant(cell, rng, value, layout):
    module = made(cell, rng, 2, 4)
    x = LAYOUTS[layout](cell.tensor(np.full((2, 4, 3, 3), value)))
    assert_normalised(cell, cell.run(module)(x), x, module)


@claim("group-constant-exact")
@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
def test_constant_is_the_mean(cell, layout):
    # Sum and mean of 18 times 100 are exact in every dtype.
    module = cell.place(nn.GroupNorm(2, 4))
    output = cell.run(module)(LAYOUTS[layout](cell.tensor(np.full((2, 4, 3, 3), 100.0))))
    assert_within(output, np.zeros((2, 4, 3, 3)), 0.0, what="output", because="100 - 100 is exact")


@claim("group-indivisible")
@pytest.mark.parametrize(("groups", "channels"), [(3, 4), (4, 6), (8, 4), (2, 1)])
def test_indivisible(groups, channels):
    message = rf"num_channels \({channels}\) must be divisible by num_groups \({groups}\)"
    with pytest.raises(ValueError, match=message if RELEASE.release >= (2, 13) else "must be divisible by num_groups"):
        nn.GroupNorm(groups, channels)
    assert nn.GroupNorm(groups, groups * channels).num_groups == groups


@claim("group-input-refused")
def test_other_channels(cell):
    module = cell.place(nn.GroupNorm(2, 4))
    with pytest.raises(RuntimeError, match=r"Expected weight to be a vector of size equal to the number of channels"):
        module(cell.tensor(np.ones((2, 6, 3))))
    with pytest.raises(RuntimeError, match=r"Expected at least 2 dimensions for input tensor but received 1"):
        module(cell.tensor(np.ones(4)))
    with pytest.raises(RuntimeError, match=r"Expected number of channels in input to be divisible by num_groups"):
        nn.functional.group_norm(cell.tensor(np.ones((2, 5, 3))), 2)


@claim("group-one-value")
@pytest.mark.parametrize("shape", [(2, 4), (3, 4, 1), (2, 4, 1, 1)])
def test_one_value_a_group(cell, rng, shape):
    module = made(cell, rng, 4, 4)
    x = cell.tensor(rng.integers(-8, 9, shape))
    expected = np.broadcast_to(column(to_numpy(module.bias), np.empty(shape)), shape)
    assert_normalised(cell, cell.run(module)(x), x, module)
    assert_within(
        cell.run(module)(cell.tensor(np.zeros(shape))), expected, 0.0, what="output for zeros", because="exact"
    )


@claim("group-one-value-one-sample")
def test_one_value_a_group_of_one_sample(cell):
    module = cell.place(nn.GroupNorm(4, 4))
    try:
        output = cell.run(module)(cell.tensor([[0.0, 0.0, 0.0, 0.0]]))
    except (ValueError, RuntimeError) as error:
        raise AssertionError(f"(1, 4) is refused: {error}") from None
    assert output.tolist() == [[0.0] * 4]


@claim("group-empty-batch")
@pytest.mark.parametrize("shape", [(0, 4), (0, 4, 3), (0, 4, 3, 2)])
def test_empty_batch(cell, shape):
    module = cell.place(nn.GroupNorm(2, 4))
    x = cell.tensor(np.zeros(shape), requires_grad=True)
    output = cell.run(module)(x)
    assert output.shape == shape
    output.sum().backward()
    assert x.grad.shape == shape
    assert [one.grad.tolist() for one in module.parameters()] == [[0.0] * 4] * 2


@claim("group-prints-arguments")
def test_printed_form():
    assert repr(nn.GroupNorm(2, 4)).startswith("GroupNorm(2, 4, eps=1e-05, affine=True")
    assert repr(nn.GroupNorm(3, 6, eps=0.5, affine=False)).startswith("GroupNorm(3, 6, eps=0.5, affine=False")
