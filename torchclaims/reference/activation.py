"""Activation functions, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Array = np.ndarray
Function = Callable[[Array], Array]


def relu(x: Array) -> Array:
    """max(0, x); a NaN stays one."""
    return np.where(x > 0, x, np.where(np.isnan(x), x, 0.0))


def relu_backward(grad: Array, x: Array) -> Array:
    """The gradient passes where x > 0; at the kink it is 0, the smallest of the possible ones."""
    return np.where(x > 0, grad, 0.0)


def leaky_relu(x: Array, slope: float) -> Array:
    """x where x > 0, else slope * x."""
    return np.where(x > 0, x, slope * x)


def leaky_relu_backward(grad: Array, x: Array, slope: float) -> Array:
    """The gradient passes where x > 0, elsewhere times ``slope``."""
    return np.where(x > 0, grad, slope * grad)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1 + small)


def sigmoid_backward(grad: Array, x: Array) -> Array:
    """s (1 - s) grad; 1 - s is taken as the sigmoid of -x, which does not cancel."""
    return grad * sigmoid(x) * sigmoid(-x)


def softmax(x: Array, axis: int) -> Array:
    """exp(x) / sum(exp(x)) along ``axis``; less the maximum, which changes nothing and cannot overflow."""
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def softmax_backward(grad: Array, x: Array, axis: int) -> Array:
    """s_i (grad_i - sum over j of grad_j s_j)."""
    shares = softmax(x, axis)
    return shares * (grad - (grad * shares).sum(axis, keepdims=True))


class Pointwise(NamedTuple):
    """A function of one number and its slope; each with the size of the terms that rounding errors are relative to.

    ``kinks`` are the places where the slope jumps.
    """

    value: Function
    slope: Function
    size: Function
    slope_size: Function
    kinks: tuple[float, ...] = ()


def elu(alpha: float = 1.0) -> Pointwise:
    """x where x > 0, else alpha (exp(x) - 1)."""
    return _exponential(1.0, alpha, 1.0)


def selu() -> Pointwise:
    """scale (max(0, x) + min(0, alpha (exp(x) - 1))) with the constants of Klambauer et al. (2017)."""
    scale = 1.0507009873554804934193349852946
    return _exponential(scale, scale * 1.6732632423543772848170429916717, 1.0)


def celu(alpha: float = 1.0) -> Pointwise:
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1))."""
    return _exponential(1.0, alpha, 1 / alpha)


def _exponential(scale: float, height: float, rate: float) -> Pointwise:
    """scale x where x > 0, else height (exp(rate x) - 1)."""

    def power(x: Array) -> Array:
        return np.exp(rate * np.minimum(x, 0))

    def value(x: Array) -> Array:
        return np.where(x > 0, scale * x, height * np.expm1(rate * np.minimum(x, 0)))

    def slope(x: Array) -> Array:
        return np.where(x > 0, scale, height * rate * power(x))

    def error(x: Array) -> Array:
        return 1 + np.abs(rate * np.minimum(x, 0))

    def size(x: Array) -> Array:
        # exp(x) - 1 may be taken as a difference.
        return np.where(x > 0, np.abs(scale * x), height * error(x) * np.minimum(1, power(x) + np.abs(rate * x)))

    return Pointwise(value, slope, size, lambda x: slope(x) * error(x) + height * rate * (x <= 0), (0.0,))


def gelu() -> Pointwise:
    """x times the distribution function of the standard normal distribution."""

    def share(x: Array) -> Array:
        return _each(lambda one: math.erfc(-one / math.sqrt(2)) / 2, x)

    def density(x: Array) -> Array:
        return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)

    # Of 1 + erf(x), as kernels have it, the error is absolute.
    return Pointwise(
        lambda x: x * share(x),
        lambda x: share(x) + x * density(x),
        np.abs,
        lambda x: 1 + np.abs(x) * density(x) * (1 + x * x),
    )


def gelu_tanh() -> Pointwise:
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    factor, cubic = math.sqrt(2 / math.pi), 0.044715

    def inner(x: Array) -> Array:
        return np.tanh(factor * (x + cubic * x**3))

    def inner_slope(x: Array) -> Array:
        return factor * (1 + 3 * cubic * x * x)

    return Pointwise(
        lambda x: x * (1 + inner(x)) / 2,
        lambda x: (1 + inner(x)) / 2 + x * (1 - inner(x) ** 2) * inner_slope(x) / 2,
        lambda x: 2 * np.abs(x),
        lambda x: 2 + np.abs(x) * inner_slope(x),
    )


def silu() -> Pointwise:
    """x times the sigmoid of x."""
    return Pointwise(
        lambda x: x * sigmoid(x),
        lambda x: sigmoid(x) * (1 + x * sigmoid(-x)),
        lambda x: np.abs(x) * sigmoid(x),
        lambda x: sigmoid(x) * (1 + np.abs(x)),
    )


def mish() -> Pointwise:
    """x tanh(softplus(x))."""

    def share(x: Array) -> Array:
        return np.tanh(np.logaddexp(0, x))

    return Pointwise(
        lambda x: x * share(x),
        lambda x: share(x) + x * sigmoid(x) * (1 - share(x) ** 2),
        lambda x: np.abs(x) * share(x),
        lambda x: share(x) + np.abs(x) * sigmoid(x),
    )


def softplus(beta: float = 1.0, threshold: float = 20.0) -> Pointwise:
    """log(1 + exp(beta x)) / beta, and x where beta x > threshold."""

    def curved(x: Array) -> Array:
        return beta * np.abs(x) <= threshold if beta < 0 else beta * x <= threshold

    return Pointwise(
        lambda x: np.where(curved(x), np.logaddexp(0, beta * x) / beta, x),
        lambda x: np.where(curved(x), sigmoid(beta * x), 1.0),
        lambda x: np.where(curved(x), np.logaddexp(0, beta * x) / beta + sigmoid(beta * x) * np.abs(x), np.abs(x)),
        lambda x: np.where(curved(x), sigmoid(beta * x) * (1 + np.abs(beta * x)), 1.0),
        (threshold / beta,),
    )


def softsign() -> Pointwise:
    """x / (1 + |x|)."""
    return Pointwise(
        lambda x: x / (1 + np.abs(x)),
        lambda x: 1 / (1 + np.abs(x)) ** 2,
        lambda x: np.abs(x) / (1 + np.abs(x)),
        lambda x: 2 / (1 + np.abs(x)),
    )


def tanhshrink() -> Pointwise:
    """x - tanh(x)."""
    return Pointwise(
        lambda x: x - np.tanh(x),
        lambda x: np.tanh(x) ** 2,
        lambda x: np.abs(x) + np.abs(np.tanh(x)),
        lambda x: np.full_like(x, 2.0),
    )


def tanh() -> Pointwise:
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x))."""
    return Pointwise(
        np.tanh, lambda x: 1 - np.tanh(x) ** 2, lambda x: np.abs(np.tanh(x)), lambda x: np.full_like(x, 2.0)
    )


def logsigmoid() -> Pointwise:
    """log(1 / (1 + exp(-x)))."""
    return Pointwise(
        lambda x: -np.logaddexp(0, -x),
        lambda x: sigmoid(-x),
        lambda x: np.logaddexp(0, -x),
        lambda x: np.ones_like(x),
    )


def softshrink(lambd: float = 0.5) -> Pointwise:
    """x moved towards 0 by lambd, and 0 within."""
    outside = _outside(lambd)
    return Pointwise(
        lambda x: np.where(outside(x), x - np.copysign(lambd, x), 0.0),
        lambda x: np.where(outside(x), 1.0, 0.0),
        lambda x: np.where(outside(x), np.abs(x), 0.0),
        np.zeros_like,
        (-lambd, lambd),
    )


def hardshrink(lambd: float = 0.5) -> Pointwise:
    """x where |x| > lambd, else 0."""
    outside = _outside(lambd)
    return Pointwise(
        lambda x: np.where(outside(x), x, 0.0),
        lambda x: np.where(outside(x), 1.0, 0.0),
        np.zeros_like,
        np.zeros_like,
        (-lambd, lambd),
    )


def _outside(lambd: float) -> Function:
    return lambda x: (x > lambd) | (x < -lambd)


def hardtanh(low: float = -1.0, high: float = 1.0) -> Pointwise:
    """x, but no less than ``low`` and no more than ``high``."""
    return Pointwise(
        lambda x: np.where(x > high, high, np.where(x < low, low, x)),
        lambda x: np.where((x > low) & (x < high), 1.0, 0.0),
        np.zeros_like,
        np.zeros_like,
        (low, high),
    )


def threshold(limit: float, otherwise: float) -> Pointwise:
    """x where x > limit, else ``otherwise``."""
    return Pointwise(
        lambda x: np.where(x > limit, x, otherwise),
        lambda x: np.where(x > limit, 1.0, 0.0),
        np.zeros_like,
        np.zeros_like,
        (limit,),
    )


def leaky(slope: float = 0.01) -> Pointwise:
    """x where x >= 0, else slope x."""
    return Pointwise(
        lambda x: leaky_relu(x, slope),
        lambda x: leaky_relu_backward(np.ones_like(x), x, slope),
        lambda x: np.where(x > 0, 0.0, np.abs(slope * x)),
        lambda x: np.where(x > 0, 0.0, abs(slope)),
        (0.0,),
    )


def hardsigmoid() -> Pointwise:
    """x / 6 + 1 / 2, but no less than 0 and no more than 1."""
    return Pointwise(
        lambda x: np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, x / 6 + 0.5)),
        lambda x: np.where(np.abs(x) < 3, 1 / 6, 0.0),
        lambda x: np.where(np.abs(x) < 3, np.abs(x) / 6 + 0.5, 0.0),
        lambda x: np.where(np.abs(x) < 3, 1 / 6, 0.0),
        (-3.0, 3.0),
    )


def hardswish() -> Pointwise:
    """x (x + 3) / 6, but 0 from -3 down and x from 3 up."""
    return Pointwise(
        lambda x: np.where(x <= -3, 0.0, np.where(x >= 3, x, x * (x + 3) / 6)),
        lambda x: np.where(x < -3, 0.0, np.where(x > 3, 1.0, x / 3 + 0.5)),
        lambda x: np.where(x <= -3, 0.0, np.where(x >= 3, np.abs(x), np.abs(x) * (np.abs(x) + 3) / 6)),
        lambda x: np.where(np.abs(x) < 3, np.abs(x) / 3 + 0.5, 0.0),
        (-3.0, 3.0),
    )


def log_softmax(x: Array, axis: int) -> Array:
    """x - log(sum(exp(x))) along ``axis``."""
    shifted = x - x.max(axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis, keepdims=True)))


def log_softmax_backward(grad: Array, x: Array, axis: int) -> Array:
    """grad_i - softmax_i times the sum of grad."""
    return np.asarray(grad - softmax(x, axis) * grad.sum(axis, keepdims=True))


def glu(x: Array, axis: int) -> Array:
    """The first half along ``axis`` times the sigmoid of the second."""
    first, second = np.split(x, 2, axis)
    return np.asarray(first * sigmoid(second))


def glu_backward(grad: Array, x: Array, axis: int) -> Array:
    """grad sigmoid(b) for the first half, grad a sigmoid(b) sigmoid(-b) for the second."""
    first, second = np.split(x, 2, axis)
    share = sigmoid(second)
    return np.concatenate([grad * share, grad * first * share * sigmoid(-second)], axis)


def prelu(x: Array, weight: Array) -> Array:
    """x where x >= 0, else weight x; ``weight`` has one element, or one for each channel of (N, C, ...)."""
    return np.where(x >= 0, x, _by_channel(weight, x) * x)


def prelu_backward(grad: Array, x: Array, weight: Array) -> tuple[Array, Array]:
    """Gradients with respect to ``x`` and the weight."""
    of_weights = np.where(x >= 0, 0.0, grad * x)
    others = tuple(axis for axis in range(x.ndim) if axis != 1)
    of_weight = of_weights.sum(others) if weight.size > 1 else of_weights.sum().reshape(1)
    return np.where(x > 0, grad, _by_channel(weight, x) * grad), of_weight


def _by_channel(weight: Array, x: Array) -> Array:
    return weight.reshape(-1, *[1] * (x.ndim - 2)) if weight.size > 1 else weight.reshape(())


def _each(function: Callable[[float], float], x: Array) -> Array:
    return np.array([function(float(one)) for one in x.flat], dtype=np.float64).reshape(x.shape)
