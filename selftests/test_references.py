"""The references themselves: their gradients are those of their forward pass, by central differences."""

import numpy as np
import pytest

from torchclaims.reference import activation, convolution, normalisation, pooling
from torchclaims.reference.windows import Windows


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


WINDOWS = {
    "1-D": ((2, 4, 7), Windows.of((3,), stride=2, padding=1)),
    "2-D": ((2, 2, 5, 6), Windows.of((3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2))),
    "3-D": ((1, 2, 3, 4, 3), Windows.of((2, 1, 2), stride=(1, 2, 1), padding=(0, 0, 1))),
}
every_window = pytest.mark.parametrize(("shape", "windows"), WINDOWS.values(), ids=WINDOWS)


def assert_gradients(functions, gradients, grad):
    """Each gradient is that of its function, a pair of the function and where it is taken."""
    for gradient, (function, value) in zip(gradients, functions, strict=True):
        np.testing.assert_allclose(gradient, numeric_gradient(function, value, grad), rtol=1e-6, atol=1e-7)


@every_window
@pytest.mark.parametrize("groups", [1, 2])
def test_convolution_gradients(rng, shape, windows, groups):
    x = rng.standard_normal(shape)
    weight = rng.standard_normal((4, shape[1] // groups, *windows.kernel))
    bias = rng.standard_normal(4)
    grad = rng.standard_normal(convolution.convolve(x, weight, bias, windows, groups).shape)
    functions = [
        (lambda value: convolution.convolve(value, weight, bias, windows, groups), x),
        (lambda value: convolution.convolve(x, value, bias, windows, groups), weight),
        (lambda value: convolution.convolve(x, weight, value, windows, groups), bias),
    ]
    assert_gradients(functions, convolution.convolve_backward(grad, x, weight, windows, groups), grad)


def test_convolution_by_hand():
    x = np.arange(9.0).reshape(1, 1, 3, 3)
    weight = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)
    assert convolution.convolve(x, weight, None, Windows.of((2, 2))).ravel().tolist() == [27.0, 37.0, 57.0, 67.0]


def test_linear_gradients(rng):
    x, weight, bias = rng.standard_normal((2, 3, 4)), rng.standard_normal((5, 4)), rng.standard_normal(5)
    grad = rng.standard_normal((2, 3, 5))
    functions = [
        (lambda value: convolution.linear(value, weight, bias), x),
        (lambda value: convolution.linear(x, value, bias), weight),
        (lambda value: convolution.linear(x, weight, value), bias),
    ]
    assert_gradients(functions, convolution.linear_backward(grad, x, weight), grad)


@every_window
def test_max_pool_gradients(rng, shape, windows):
    x = rng.permutation(float(np.prod(shape)) * np.linspace(0, 1, int(np.prod(shape)))).reshape(shape)
    maxima = pooling.max_pool(x, windows)
    grad = rng.standard_normal(maxima.values.shape)
    gradient = pooling.max_pool_backward(grad, maxima.places, shape[2:])
    assert_gradients([(lambda value: pooling.max_pool(value, windows).values, x)], [gradient], grad)


@every_window
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_avg_pool_gradients(rng, shape, windows, count_include_pad):
    x = rng.standard_normal(shape)
    grad = rng.standard_normal(pooling.avg_pool(x, windows, count_include_pad).shape)
    gradient = pooling.avg_pool_backward(grad, shape[2:], windows, count_include_pad)
    assert_gradients([(lambda value: pooling.avg_pool(value, windows, count_include_pad), x)], [gradient], grad)


@pytest.mark.parametrize("name", ["sigmoid", "softmax", "leaky_relu"])
def test_activation_gradients(rng, name):
    x, grad = rng.standard_normal((2, 3, 4))
    arguments = {"sigmoid": (), "softmax": (1,), "leaky_relu": (0.2,)}[name]
    function, backward = getattr(activation, name), getattr(activation, f"{name}_backward")
    assert_gradients([(lambda value: function(value, *arguments), x)], [backward(grad, x, *arguments)], grad)


def test_pooling_by_hand():
    x = np.array([[[1.0, 5.0, 2.0, 4.0, 3.0]]])
    ceil = Windows.of((2,), stride=2, ceil_mode=True)
    assert pooling.max_pool(x, ceil).values.ravel().tolist() == [5.0, 4.0, 3.0]
    assert pooling.max_pool(x, ceil).places.ravel().tolist() == [1, 3, 4]
    assert pooling.avg_pool(x, Windows.of((2,), stride=2)).ravel().tolist() == [3.0, 3.0]
    padded = Windows.of((3,), stride=3, padding=1)
    assert pooling.avg_pool(x, padded).ravel().tolist() == [2.0, 3.0]
    assert pooling.avg_pool(x, padded, count_include_pad=False).ravel().tolist() == [3.0, 3.0]
