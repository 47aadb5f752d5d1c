"""What the rooms of this family share: inputs, ways to lay a tensor out, and bounds of the backward pass."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from torchclaims.targets import RELEASE, Cell, from_numpy, to_numpy
from torchclaims.tolerance import accumulation_unit, gamma, normalisation_bound, rounding_unit, roundings

HALF = (torch.float16, torch.bfloat16)
WIDTHS = [1, 2, 7, 8, 9, 15, 16, 17, 31, 33]
BECAUSE = "rounding of mean, variance and x * a + b, conditioned by |mean| / sqrt(variance + eps)"


def channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous(memory_format=torch.channels_last if x.dim() == 4 else torch.channels_last_3d)


# Of a tensor with at least three dimensions; each keeps the values and changes the strides.
LAYOUTS = {
    "contiguous": lambda x: x.contiguous(),
    "channels last": lambda x: channels_last(x) if x.dim() > 3 else x.transpose(1, 2).contiguous().transpose(1, 2),
    "transposed": lambda x: x.transpose(-1, -2).contiguous().transpose(-1, -2),
    "batch inside": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "every other": lambda x: torch.stack([x, -x], -1).flatten(-2)[..., ::2],
    "offset": lambda x: torch.cat([x.new_zeros(3), x.flatten()])[3:].view(x.shape),
}


def with_parameters(cell: Cell, module: nn.Module, rng: np.random.Generator) -> nn.Module:
    """``module`` in its cell, with weights and biases that differ by element."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            low, high = (0.5, 2.0) if name == "weight" else (-1.0, 1.0)
            parameter.copy_(from_numpy(rng.uniform(low, high, tuple(parameter.shape))))
    return cell.place(module)


def in_float32(cell: Cell, module: nn.Module) -> nn.Module:
    """``module``'s parameters in float32 where the cell is in half precision, as autocast leaves them."""
    return module.float() if cell.dtype in HALF else module


def unlike_scale(rng: np.random.Generator, shape: tuple[int, ...], axis: int = 1) -> np.ndarray:
    """Normal values whose mean and scale differ along ``axis``, from sigma = 0.01, where eps shows, to sigma = 2."""
    count = shape[axis]
    along = [1] * len(shape)
    along[axis] = count
    return np.linspace(-0.5, 1.0, count).reshape(along) + np.geomspace(0.01, 2.0, count).reshape(
        along
    ) * rng.standard_normal(shape)


def statistics_unit(cell: Cell, module: nn.Module) -> float:
    """The roundoff in which mean and 1/sqrt are kept for the backward pass: the parameters' on CPUs."""
    parameter = next(module.parameters(), None)
    dtype = cell.dtype if parameter is None else parameter.dtype
    return rounding_unit(dtype) if dtype in HALF else 0.0


def output_bound(
    cell: Cell,
    x: np.ndarray,
    axes: tuple[int, ...],
    eps: float,
    weight: np.ndarray | float = 1.0,
    bias: np.ndarray | float = 0.0,
    kept: float = 0.0,
) -> np.ndarray:
    """Bound for the output, where mean and 1/sqrt are rounded once more, to ``kept``, before they are used."""
    mean, inverse = x.mean(axes, keepdims=True), 1 / np.sqrt(x.var(axes, keepdims=True) + eps)
    rounded = kept * (inverse * np.abs(mean) + 2 * inverse * np.abs(x - mean))
    return normalisation_bound(cell, x, axes, eps, weight, bias).output + np.abs(weight) * rounded * (1 + 2 * kept)


class BackwardBound(NamedTuple):
    """Bounds on the input's gradient, and on each product of gradient and normalised input."""

    x: np.ndarray
    products: np.ndarray


def backward_bound(
    cell: Cell,
    x: np.ndarray,
    axes: tuple[int, ...],
    eps: float,
    scaled: np.ndarray,
    grad: np.ndarray,
    kept: float = 0.0,
) -> BackwardBound:
    """Bounds for the gradients of (x - mean) / sqrt(variance + eps) over ``axes`` of ``x``.

    ``scaled`` is the output's gradient ``grad`` times the weight; ``kept`` the roundoff of the statistics that the
    forward pass hands over. Kernels compute a * grad + b * x + c with c = -b * mean - ..., so that sums of products
    with x count by |x| + |mean|, not by the difference.
    """
    unit = accumulation_unit(cell)
    count = int(np.prod([x.shape[axis] for axis in axes]))
    forward = normalisation_bound(cell, x, axes, eps)
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    inverse = 1 / np.sqrt(variance + eps)
    normalised = np.abs(x - mean) * inverse
    size = (np.abs(x) + np.abs(mean)) * inverse
    relative = forward.variance / (variance + eps) / 2 + kept + gamma(6, unit)
    off = inverse * (forward.mean + kept * np.abs(mean)) + normalised * relative + gamma(6, unit) * size
    a = np.abs(scaled)
    total = a.mean(axes, keepdims=True)
    product = (a * normalised).mean(axes, keepdims=True)
    chain = gamma(count + 10, unit)
    bound = 3 * relative * (a + total + normalised * product)
    bound = bound + chain * (a + total + size * product + normalised * (a * size).mean(axes, keepdims=True))
    if RELEASE.release < (2, 1):  # the sums of grad and of grad * x were rounded too, and b is their difference
        summed_grad = np.abs(scaled.mean(axes, keepdims=True))
        summed_products = np.abs((scaled * x).mean(axes, keepdims=True))
        bound = bound + kept * (summed_grad + normalised * inverse * (summed_grad * np.abs(mean) + summed_products))
    # Both factors of normalised * mean(grad * normalised) are off, and by no little where sigma is below |mean| * kept.
    bound = bound + off * product + (normalised + off) * (a * off).mean(axes, keepdims=True)
    bound = bound * (1 + 3 * relative)
    products = np.abs(grad) * (off + chain * size)
    return BackwardBound(inverse * bound * (1 + kept), products)


def summed(cell: Cell, values: np.ndarray, axes: tuple[int, ...], errors: np.ndarray | float = 0.0, half: int = 0):
    """A sum of ``values`` over ``axes`` and its bound; ``half`` of its roundings may be to the cell's dtype."""
    result = values.sum(axes)
    count = values.size // max(result.size, 1)
    unit = gamma(count + 6, accumulation_unit(cell)) + (gamma(half, rounding_unit(cell.dtype)) if half else 0)
    bound = unit * np.abs(values).sum(axes) + np.broadcast_to(errors, values.shape).sum(axes)
    return result, bound + roundings(cell, 1, result)


def column(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """``values`` of shape (C,), so that they broadcast against (N, C, *)."""
    return np.asarray(values).reshape((1, -1) + (1,) * (x.ndim - 2))


def numbers(tensor: torch.Tensor | None, otherwise: float) -> np.ndarray:
    """The values of a parameter that may be None."""
    return np.asarray(otherwise) if tensor is None else to_numpy(tensor)
