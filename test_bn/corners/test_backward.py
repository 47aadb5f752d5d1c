"""Gradients of batch normalisation: in evaluation, with a weight, and of gradients laid out otherwise."""

import numpy as np
import pytest
import torch
from torch import nn

from test_bn.layouts import channels_of_unlike_scale, every_layout, other_axes, place
from test_bn.test_forward import with_parameters
from test_norm.common import LAYOUTS, backward_bound, column, summed
from torchclaims import claim
from torchclaims.reference import normalisation
from torchclaims.targets import from_numpy, to_numpy
from torchclaims.tolerance import accumulation_unit, assert_within, gamma, rounding_unit, roundings

BECAUSE = "sums of n products, conditioned by |mean| / sqrt(variance + eps)"


@claim("bn-evaluation-backward")
@every_layout
@pytest.mark.parametrize("layout", ["as it is", "transposed"])
def test_gradients_in_evaluation(cell, rng, batch_norm, shape, layout):
    bn = with_parameters(cell, batch_norm(shape[1]), rng).eval()
    with torch.no_grad():
        bn.running_mean.copy_(from_numpy(rng.uniform(-1.0, 1.0, shape[1])))
        bn.running_var.copy_(from_numpy(rng.uniform(0.01, 2.0, shape[1])))
    x = cell.tensor(channels_of_unlike_scale(rng, shape), requires_grad=True)
    grad = cell.tensor(rng.standard_normal(shape))
    grad = grad if layout == "as it is" else grad.transpose(0, -1).contiguous().transpose(0, -1)
    cell.run(bn)(x).backward(grad)
    values, gradient, axes = to_numpy(x), to_numpy(grad), other_axes(to_numpy(x))
    mean, variance, weight = (column(to_numpy(one), values) for one in (bn.running_mean, bn.running_var, bn.weight))
    inverse = 1 / np.sqrt(variance + bn.eps)
    expected = gradient * weight * inverse
    bound = gamma(8, accumulation_unit(cell)) * np.abs(expected) + roundings(cell, 1, expected)
    assert_within(x.grad, expected, bound, what="input's gradient", because="8 roundings")
    off = gamma(values.size // shape[1] + 10, accumulation_unit(cell)) * (np.abs(values) + np.abs(mean)) * inverse
    grad_weight, bound_weight = summed(cell, gradient * (values - mean) * inverse, axes, np.abs(gradient) * off, 1)
    assert_within(bn.weight.grad, grad_weight, bound_weight, what="weight's gradient", because="a sum of n products")
    grad_bias, bound_bias = summed(cell, gradient, axes, 0.0, 2)
    assert_within(bn.bias.grad, grad_bias, bound_bias, what="bias' gradient", because="a sum of n gradients")


def assert_gradients(cell, x, grad, bn):
    values, gradient = to_numpy(x), to_numpy(grad)
    axes, weight = other_axes(values), to_numpy(bn.weight)
    expected = normalisation.batch_norm_backward(gradient, values, bn.eps, weight)
    scaled = gradient * column(weight, values)
    bound = backward_bound(cell, values, axes, bn.eps, scaled, gradient)
    assert_within(
        x.grad, expected[0], bound.x + roundings(cell, 2, expected[0]), what="input's gradient", because=BECAUSE
    )
    normalised = normalisation.standardise(values, axes, bn.eps)
    _, bound_weight = summed(cell, gradient * normalised, axes, bound.products)
    assert_within(bn.weight.grad, expected[1], bound_weight, what="weight's gradient", because=BECAUSE)
    _, bound_bias = summed(cell, gradient, axes)
    assert_within(bn.bias.grad, expected[2], bound_bias, what="bias' gradient", because=BECAUSE)


@claim("bn-backward-with-weight")
@pytest.mark.parametrize("layout", [*LAYOUTS, "expanded"])
@pytest.mark.parametrize("of", ["gradient", "input", "both"])
@pytest.mark.parametrize("batch", [1, 3])
def test_gradients_of_views(cell, rng, layout, of, batch):
    bn = with_parameters(cell, nn.BatchNorm2d(3), rng)
    shape = (batch, 3, 4, 5)
    laid_out = LAYOUTS.get(layout, lambda one: one[:, :1, :1, :1].expand(shape))
    x, grad = cell.tensor(channels_of_unlike_scale(rng, shape)), cell.tensor(rng.standard_normal(shape))
    if of != "gradient" and layout != "expanded":
        x = laid_out(x)
    if of != "input":
        grad = laid_out(grad)
    x = x.detach().requires_grad_()
    cell.run(bn)(x).backward(grad)
    assert_gradients(cell, x, grad, bn)


@claim("bn-backward-half-strided")
def test_bias_gradient_of_strided_half_precision(cell):
    # 257 = 256 + 1 has nine binary digits: bfloat16 keeps eight of them, float16 eleven.
    rows = 257 if cell.dtype == torch.bfloat16 else 2049
    bn = place(cell, nn.BatchNorm2d(2))
    x = cell.tensor(np.arange(2 * rows).reshape(1, 2, rows, 1) % 5)
    grad = cell.tensor(np.ones(())).expand(x.shape)
    cell.run(bn)(x).backward(grad)
    assert bn.bias.dtype == torch.float32
    bound = gamma(rows, accumulation_unit(cell)) * rows
    assert_within(bn.bias.grad, [rows, rows], bound, what="bias' gradient", because="a sum of ones in float32")


@claim("bn-backward-one-sample")
@pytest.mark.parametrize(
    ("batch_norm", "shape"), [(nn.BatchNorm2d, (1, 3, 2, 5)), (nn.BatchNorm3d, (1, 3, 2, 2, 3))], ids=["2d", "3d"]
)
def test_gradients_of_one_sample(cell, batch_norm, shape):
    bn = place(cell, batch_norm(3))
    values = np.arange(np.prod(shape)).reshape(shape)
    x = cell.tensor(values * 5 % 7, requires_grad=True)
    # Rows of 3 channels, one a position, with a batch dimension put in front of the channels' stride.
    rows = cell.tensor(np.moveaxis(values * 3 % 11 - 4, 1, -1).reshape(-1, 3))
    grad = rows.t()[None].unflatten(2, shape[2:])
    cell.run(bn)(x).backward(grad)
    assert_gradients(cell, x, grad, bn)


@claim("bn-convolution-bias")
def test_gradient_of_the_bias_before(cell, rng):
    conv, bn = cell.place(nn.Conv2d(2, 3, 2)), place(cell, nn.BatchNorm2d(3))
    x = cell.tensor(rng.standard_normal((4, 2, 4, 5)))
    between = conv(x)
    between.retain_grad()
    output = bn(between)
    grad = cell.tensor(rng.standard_normal(tuple(output.shape)))
    output.backward(grad)
    values, gradient = to_numpy(between), to_numpy(grad)
    bound = backward_bound(cell, values, (0, 2, 3), bn.eps, gradient, gradient).x + roundings(
        cell, 2, to_numpy(between.grad)
    )
    total = 2 * bound.sum((0, 2, 3)) + gamma(50, rounding_unit(cell.dtype)) * np.abs(to_numpy(between.grad)).sum(
        (0, 2, 3)
    )
    assert_within(conv.bias.grad, np.zeros(3), total, what="gradient of the convolution's bias", because=BECAUSE)
    assert float(conv.weight.grad.abs().max()) > 0
