"""Convolution, as neural networks call cross-correlation, and linear maps: forward and backward."""

from __future__ import annotations

import numpy as np

from torchclaims.reference.windows import Array, Windows, leading


def convolve(x: Array, weight: Array, bias: Array | None, windows: Windows, groups: int = 1) -> Array:
    """out[n, o, i] = bias[o] + sum over c, k of weight[o, c, k] x[n, c, i stride + k dilation - padding].

    ``x`` is (N, C, *spatial), ``weight`` (O, C / groups, *kernel); each group of output channels sees its
    own group of input channels.
    """
    sizes = x.shape[2:]
    padded = _in_groups(windows.padded(x, 0.0), groups)
    kernels = _split_first(weight, groups)
    result = np.zeros((len(x), groups, weight.shape[0] // groups, *windows.counts(sizes)))
    for place, tap in windows.taps(sizes):
        result += np.einsum("ngc...,goc->ngo...", padded[tap], kernels[leading(place)])
    result = result.reshape(len(x), weight.shape[0], *result.shape[3:])
    return result if bias is None else result + bias.reshape(-1, *[1] * len(sizes))


def convolve_backward(
    grad: Array, x: Array, weight: Array, windows: Windows, groups: int = 1
) -> tuple[Array, Array, Array]:
    """Gradients with respect to ``x``, weight and bias: each product hands its gradient to both factors."""
    sizes = x.shape[2:]
    padded = _in_groups(windows.padded(x, 0.0), groups)
    kernels = _split_first(weight, groups)
    grads = _in_groups(grad, groups)
    grad_padded, grad_kernels = np.zeros_like(padded), np.zeros_like(kernels)
    spatial = tuple(range(3, grads.ndim))
    for place, tap in windows.taps(sizes):
        grad_padded[tap] += np.einsum("ngo...,goc->ngc...", grads, kernels[leading(place)])
        met = np.expand_dims(padded[tap], 2) * np.expand_dims(grads, 3)
        grad_kernels[leading(place)] = met.sum((0, *(axis + 1 for axis in spatial)))
    grad_x = windows.cropped(grad_padded.reshape(len(x), x.shape[1], *grad_padded.shape[3:]), sizes)
    return grad_x, grad_kernels.reshape(weight.shape), grad.sum((0, *range(2, grad.ndim)))


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """out[..., o] = bias[o] + sum over i of weight[o, i] * x[..., i]."""
    result: Array = np.einsum("...i,oi->...o", x, weight)
    return result if bias is None else result + bias


def linear_backward(grad: Array, x: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Gradients with respect to ``x``, weight and bias; leading dimensions are summed over."""
    lead = tuple(range(x.ndim - 1))
    return grad @ weight, np.tensordot(grad, x, (lead, lead)), grad.sum(lead)


def _split_first(array: Array, groups: int) -> Array:
    return array.reshape(groups, array.shape[0] // groups, *array.shape[1:])


def _in_groups(array: Array, groups: int) -> Array:
    return array.reshape(len(array), groups, array.shape[1] // groups, *array.shape[2:])
