"""The references themselves: their gradients are those of their forward pass, by central differences."""

import numpy as np
import pytest

from torchclaims.reference import normalisation


def numeric_gradient(function, x, grad):
    """The gradient of sum(grad * function(x)) by central differences; its error is of the order of 1e-9."""
    step = 1e-6
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        ahead, behind = x.copy(), x.copy()
        ahead[index] += step
        behind[index] -= step
        gradient[index] = (grad * (function(ahead) - function(behind))).sum() / (2 * step)
    return gradient


@pytest.mark.parametrize("shape", [(4, 2), (2, 3, 4), (2, 2, 2, 3)])
def test_batch_norm_gradients(rng, shape):
    x, grad = rng.standard_normal((2, *shape))
    weight, bias = rng.standard_normal((2, shape[1]))
    gradients = normalisation.batch_norm_backward(grad, x, 1e-2, weight)
    functions = {
        "x": (lambda value: normalisation.batch_norm(value, 1e-2, weight, bias), x),
        "weight": (lambda value: normalisation.batch_norm(x, 1e-2, value, bias), weight),
        "bias": (lambda value: normalisation.batch_norm(x, 1e-2, weight, value), bias),
    }
    for gradient, (function, value) in zip(gradients, functions.values(), strict=True):
        np.testing.assert_allclose(gradient, numeric_gradient(function, value, grad), rtol=1e-6, atol=1e-7)


def test_batch_statistics_by_hand():
    statistics = normalisation.batch_statistics(np.array([[[1.0, 3.0]], [[5.0, 7.0]]]))
    assert statistics.mean.tolist() == [4.0]
    assert statistics.biased_variance.tolist() == [5.0]
    assert statistics.unbiased_variance.tolist() == [20 / 3]


def test_running_statistics_by_hand():
    batches = [np.array([[0.0], [2.0]]), np.array([[4.0], [8.0]])]
    mean, variance = normalisation.running_statistics(batches, 0.5, np.zeros(1), np.ones(1))
    assert (mean.tolist(), variance.tolist()) == ([3.25], [4.75])
    mean, variance = normalisation.running_statistics(batches, None, np.zeros(1), np.ones(1))
    assert (mean.tolist(), variance.tolist()) == ([3.5], [5.0])
