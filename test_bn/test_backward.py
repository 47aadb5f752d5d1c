"""Gradients of batch normalisation."""

import numpy as np
import pytest
from torch import nn

from test_bn.layouts import channels_of_unlike_scale, every_layout, other_axes, per_channel, place
from torchclaims import claim
from torchclaims.reference import normalisation
from torchclaims.targets import to_numpy
from torchclaims.tolerance import accumulation_unit, assert_within, gamma, normalisation_bound, rounding_unit, roundings


def gradients(cell, rng, batch_norm, shape, spread=False):
    """A training step: the input, the output's gradient, the module, and the bounds of its forward pass."""
    bn = place(cell, batch_norm(shape[1]))
    x = cell.tensor(channels_of_unlike_scale(rng, shape), requires_grad=True)
    grad = cell.tensor(rng.standard_normal(())).expand(shape) if spread else cell.tensor(rng.standard_normal(shape))
    cell.run(bn)(x).backward(grad)
    return x, to_numpy(grad), bn, normalisation_bound(cell, to_numpy(x), other_axes(x), bn.eps)


@claim("bn-backward")
@every_layout
@pytest.mark.parametrize("spread", [False, True], ids=["dense", "expanded"])
def test_gradients(cell, rng, batch_norm, shape, spread):
    x, grad, bn, forward = gradients(cell, rng, batch_norm, shape, spread)
    values, axes = to_numpy(x), other_axes(x)
    grad_x, grad_weight, grad_bias = normalisation.batch_norm_backward(grad, values, bn.eps)
    count = values.size // values.shape[1]
    unit = accumulation_unit(cell)
    normalised = np.abs(normalisation.batch_norm(values, bn.eps))
    inverse = 1 / np.sqrt(values.var(axes, keepdims=True) + bn.eps)
    # The saved mean and 1/sqrt carry the forward pass' errors into every product with the normalised input.
    # Sum and mean of a gradient that is not contiguous may each be rounded to its dtype, even for a float32 bias.
    of_a_sum = gamma(count + 4, unit) + (gamma(2, rounding_unit(cell.dtype)) if spread else 0)
    sums = of_a_sum * np.abs(grad).sum(axes, keepdims=True)
    products = (np.abs(grad) * (gamma(count + 8, unit) * normalised + forward.output)).sum(axes, keepdims=True)
    relative = forward.variance / (values.var(axes, keepdims=True) + bn.eps) + gamma(8, unit)
    spread = (
        np.abs(grad)
        + (np.abs(grad).sum(axes, keepdims=True) + normalised * (np.abs(grad) * normalised).sum(axes, keepdims=True))
        / count
    )
    mean_product = (np.abs(grad) * normalised).sum(axes, keepdims=True) / count
    bound_x = inverse * (relative * spread + (sums + normalised * products) / count + forward.output * mean_product)
    because = "sums of n products, conditioned by |mean| / sqrt(variance + eps)"
    assert_within(x.grad, grad_x, bound_x + roundings(cell, 2, grad_x), what="input's gradient", because=because)
    assert_within(
        bn.weight.grad,
        grad_weight,
        products.ravel() + roundings(cell, 1, grad_weight),
        what="weight's gradient",
        because=because,
    )
    assert_within(
        bn.bias.grad,
        grad_bias,
        sums.ravel() + roundings(cell, 1, grad_bias),
        what="bias' gradient",
        because=because,
    )


@claim("bn-backward-orthogonal")
@every_layout
def test_gradient_is_orthogonal_to_constants_and_to_the_output(cell, rng, batch_norm, shape):
    x, grad, bn, _ = gradients(cell, rng, batch_norm, shape)
    values, axes = to_numpy(x), other_axes(x)
    seen = to_numpy(x.grad)
    normalised = normalisation.batch_norm(values, bn.eps)
    variance = values.var(axes)
    inverse = 1 / np.sqrt(variance + bn.eps)
    # By the formula, sum(dx) = 0 and sum(dx * xhat) = inverse * eps / (variance + eps) * sum(grad * xhat).
    count = values.size // values.shape[1]
    conditioning = 1 + np.abs(values.mean(axes)) * inverse
    size = inverse * np.abs(grad).sum(axes) * (1 + np.abs(normalised).max(axes)) ** 2
    bound = (
        gamma(8 * (count + 8), accumulation_unit(cell)) * conditioning * size
        + gamma(count, accumulation_unit(cell)) * size
    )
    rest = inverse * bn.eps / (variance + bn.eps) * (grad * normalised).sum(axes)
    because = "sums of n products, conditioned by |mean| / sqrt(variance + eps)"
    assert_within(cell.tensor(seen.sum(axes)), np.zeros_like(rest), bound, what="sum of dx", because=because)
    assert_within(
        cell.tensor((seen * normalised).sum(axes)),
        rest,
        bound + roundings(cell, 1, rest),
        what="sum of dx * xhat",
        because=because,
    )


@claim("bn-eval-gradient")
def test_gradient_in_evaluation_is_the_scale(cell, rng):
    bn = place(cell, nn.BatchNorm2d(2)).eval()
    bn.running_var.copy_(cell.tensor([0.25 - bn.eps, 4.0 - bn.eps]))
    bn.weight.data.copy_(cell.tensor([1.5, -3.0]))
    x, grad = (cell.tensor(rng.standard_normal((3, 2, 2, 2)), requires_grad=needed) for needed in (True, False))
    cell.run(bn)(x).backward(grad)
    variance = to_numpy(bn.running_var)
    expected = to_numpy(grad) * per_channel([1.5, -3.0] / np.sqrt(variance + bn.eps), 4)
    assert_within(x.grad, expected, roundings(cell, 7, expected), what="input's gradient", because="7 roundings")
