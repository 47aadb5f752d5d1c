"""Activation functions, forward and backward."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


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
