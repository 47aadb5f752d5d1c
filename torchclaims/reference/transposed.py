"""Transposed convolution, forward and backward: each input element lays down the kernel, scaled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from torchclaims.reference.windows import Array, Ints, leading


@dataclass(frozen=True)
class Placement:
    """Where kernels are laid down: ``stride`` apart, their elements ``dilation`` apart, ``padding`` cut off both ends
    and ``output_padding`` added to the last one; a number a dimension."""

    kernel: Ints
    stride: Ints
    padding: Ints
    output_padding: Ints
    dilation: Ints

    @classmethod
    def of(
        cls, kernel: Ints, *, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, dilation: Any = 1
    ) -> Placement:
        """A placement as PyTorch's layers describe it: one number for all dimensions, or one for each."""
        each = (
            (value,) * len(kernel) if isinstance(value, int) else tuple(value)
            for value in (stride, padding, output_padding, dilation)
        )
        return cls(kernel, *each)

    def sizes(self, inputs: Ints) -> Ints:
        """(size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1, in each dimension."""
        return tuple(
            (size - 1) * step - 2 * pad + apart * (extent - 1) + extra + 1
            for size, step, pad, apart, extent, extra in zip(
                inputs, self.stride, self.padding, self.dilation, self.kernel, self.output_padding, strict=True
            )
        )

    def taps(self, inputs: Ints) -> Iterator[tuple[Ints, Any]]:
        """For each element of the kernel: its place, and the index of where it falls, for every input element, in
        an output that is not yet cut."""
        for place in product(*map(range, self.kernel)):
            steps = zip(place, self.dilation, self.stride, inputs, strict=True)
            yield (
                place,
                leading(tuple(slice(p * apart, p * apart + step * (n - 1) + 1, step) for p, apart, step, n in steps)),
            )

    def laid(self, lead: Ints, inputs: Ints) -> Array:
        """Zeros of the shape that an output has before ``padding`` is cut off."""
        return np.zeros((*lead, *(n + 2 * pad for n, pad in zip(self.sizes(inputs), self.padding, strict=True))))

    def cut(self, laid: Array) -> Array:
        """``laid`` without the padding."""
        dims = len(self.kernel)
        ends = zip(self.padding, laid.shape[-dims:], strict=True)
        return laid[leading(tuple(slice(pad, size - pad) for pad, size in ends))]


def transposed_convolve(x: Array, weight: Array, bias: Array | None, at: Placement, groups: int = 1) -> Array:
    """out[n, o, i stride + k dilation - padding] = bias[o] + sum over c, i, k of x[n, c, i] weight[c, o, k].

    ``x`` is (N, C, *spatial), ``weight`` (C, O / groups, *kernel).
    """
    inputs = x.shape[2:]
    inside, kernels = _grouped(x, 1, groups), _grouped(weight, 0, groups)
    laid = at.laid((len(x), groups, weight.shape[1]), inputs)
    for place, tap in at.taps(inputs):
        laid[tap] += np.einsum("ngc...,gco->ngo...", inside, kernels[leading(place)])
    out = at.cut(laid)
    out = out.reshape(len(x), groups * weight.shape[1], *out.shape[3:])
    return out if bias is None else out + bias.reshape(-1, *[1] * len(inputs))


def transposed_convolve_backward(
    grad: Array, x: Array, weight: Array, at: Placement, groups: int = 1
) -> tuple[Array, Array, Array]:
    """Gradients with respect to ``x``, weight and bias: each product hands its gradient to both factors."""
    inputs = x.shape[2:]
    inside, kernels = _grouped(x, 1, groups), _grouped(weight, 0, groups)
    laid = at.laid((len(x), groups, weight.shape[1]), inputs)
    at.cut(laid)[...] = _grouped(grad, 1, groups)
    grad_x, grad_kernels = np.zeros_like(inside), np.zeros_like(kernels)
    for place, tap in at.taps(inputs):
        grad_x += np.einsum("ngo...,gco->ngc...", laid[tap], kernels[leading(place)])
        met = np.expand_dims(inside, 3) * np.expand_dims(laid[tap], 2)
        grad_kernels[leading(place)] = met.sum((0, *range(4, met.ndim)))
    return grad_x.reshape(x.shape), grad_kernels.reshape(weight.shape), grad.sum((0, *range(2, grad.ndim)))


def _grouped(array: Array, axis: int, groups: int) -> Array:
    shape = array.shape
    return array.reshape(*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])
