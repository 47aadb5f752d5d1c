"""Bounds on rounding error, derived from dtype, length of the sum and conditioning; never from what happened to pass.

Every floating-point comparison of the suite goes through :func:`assert_within`, which also records the share of the
bound that was used, so that a report can show how tight the bounds are.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from torchclaims.targets import RELEASE, Cell, to_numpy

# Shares of the bound used since the last reset; the plugin reads them after each test.
SHARES_USED: list[float] = []


def unit_roundoff(dtype: torch.dtype) -> float:
    """The largest relative error of rounding to ``dtype``: half the distance from 1 to the next number."""
    return float(torch.finfo(dtype).eps) / 2


def rounding_unit(dtype: torch.dtype) -> float:
    """What one rounding adds to the difference between ``dtype`` arithmetic and a reference in float64.

    The reference is rounded too: of a float64 result that doubles the bound, of others it is next to nothing.
    """
    return unit_roundoff(dtype) + unit_roundoff(torch.float64)


def accumulation_unit(cell: Cell) -> float:
    """The rounding unit in which sums are kept: half precision is summed in float32 and rounded once at the end."""
    return rounding_unit(torch.float32 if cell.dtype in (torch.float16, torch.bfloat16) else cell.dtype)


# What torch.set_float32_matmul_precision lets a backend round the factors of float32 products to: TF32 has 10 explicit
# bits, bfloat16 7.
_FACTOR_UNIT = {"highest": 0.0, "high": 2.0**-11, "medium": 2.0**-8}


def factor_unit(cell: Cell) -> float:
    """The relative error of a factor of a float32 product, by the settings that allow TF32 or bfloat16 for it."""
    if cell.dtype != torch.float32:
        return 0.0
    unit = _FACTOR_UNIT[torch.get_float32_matmul_precision()]
    if torch.device(cell.device.name).type == "cuda" and torch.backends.cudnn.allow_tf32:
        unit = max(unit, _FACTOR_UNIT["high"])
    return unit


def gamma(terms: int, unit: float) -> float:
    """Higham's bound for a chain of ``terms`` roundings, n*u / (1 - n*u) (Accuracy and Stability, section 3.1).

    Raises:
        ValueError: the chain is so long that the bound says nothing.
    """
    product = terms * unit
    if product >= 0.5:
        raise ValueError(f"{terms} roundings of unit {unit:g} leave no digit; use fewer terms")
    return product / (1 - product)


def sum_bound(cell: Cell, terms: int, magnitude: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Bound on the error of a sum of ``terms`` products, in any order of summation.

    ``magnitude`` is the same sum over absolute values: its ratio to the result is the sum's condition.
    A last rounding to the cell's dtype is added, and the smallest subnormal, for results that underflow.
    """
    accumulated = (gamma(terms + 2, accumulation_unit(cell)) + gamma(2, factor_unit(cell))) * magnitude
    bound: np.ndarray = accumulated + roundings(cell, 1, result)
    return bound


def kernel_sum_bound(cell: Cell, terms: int, magnitude: np.ndarray, result: np.ndarray, parts: int = 0) -> np.ndarray:
    """:func:`sum_bound` for sums that the CPU may keep in half precision, part by part.

    Where oneDNN has no kernel for half precision, PyTorch's own ones add up the kernel's elements, or the samples, one
    by one in it: ``parts`` of them. Before 2.6 they kept whole sums so.
    """
    bound = sum_bound(cell, terms, magnitude, result)
    if not cell.device.is_cpu or cell.dtype not in (torch.float16, torch.bfloat16):
        return bound
    steps = terms + 2 if RELEASE.release < (2, 6) else parts
    return bound + gamma(steps, rounding_unit(cell.dtype)) * magnitude


def roundings(cell: Cell, count: int, result: np.ndarray) -> np.ndarray:
    """Bound on the error of ``count`` roundings to the cell's dtype of values of ``result``'s size.

    Each may also lose up to the smallest subnormal number, below which the relative bound says nothing.
    """
    smallest = float(torch.finfo(cell.dtype).smallest_normal) * 2 * unit_roundoff(cell.dtype)
    bound: np.ndarray = gamma(count, rounding_unit(cell.dtype)) * np.abs(result) + count * smallest
    return bound


class NormalisationBound(NamedTuple):
    """Bounds on the errors of a normalisation over ``count`` elements; each of its group's shape."""

    mean: np.ndarray
    variance: np.ndarray
    output: np.ndarray


def normalisation_bound(
    cell: Cell,
    x: np.ndarray,
    axes: tuple[int, ...],
    eps: float,
    weight: np.ndarray | float = 1.0,
    bias: np.ndarray | float = 0.0,
    unit: float | None = None,
) -> NormalisationBound:
    """Bounds for mean, variance and (x - mean) / sqrt(variance + eps) * weight + bias over ``axes`` of ``x``.

    The conditioning is |mean| / sqrt(variance + eps): kernels compute x * a + b with b = bias - mean * a, so that the
    rounding of each term counts, not that of the difference. ``weight`` and ``bias`` must broadcast against ``x``;
    ``mean`` and ``variance`` keep the reduced axes. ``unit`` is the roundoff in which the statistics are kept, where
    that is not the accumulation's.
    """
    unit = unit or accumulation_unit(cell)
    count = math.prod(x.shape[axis] for axis in axes)
    mean = x.mean(axes, keepdims=True)
    variance = x.var(axes, keepdims=True)
    size = np.abs(x) + np.abs(mean)
    mean_bound = gamma(count + 2, unit) * np.abs(x).mean(axes, keepdims=True)
    variance_bound = gamma(2 * count + 6, unit) * variance + 2 * gamma(count + 4, unit) * (
        np.abs(x - mean) * size
    ).mean(axes, keepdims=True)
    inverse = 1 / np.sqrt(variance + eps)
    normalised = (x - mean) * inverse
    output = np.abs(weight) * inverse * (mean_bound + gamma(4, unit) * size)
    output = output + np.abs(weight * normalised) * (variance_bound / (variance + eps) / 2 + gamma(6, unit))
    output = output + gamma(3, unit) * np.abs(bias) + roundings(cell, 1, normalised * weight + bias)
    return NormalisationBound(mean_bound, variance_bound, output)


def assert_within(
    actual: torch.Tensor, expected: np.ndarray | float, bound: np.ndarray | float, *, what: str, because: str
) -> None:
    """Asserts |actual - expected| <= bound, element by element; NaN and infinities must match exactly.

    ``what`` names the quantity, ``because`` says why the bound is what it is; both stand in the failure.

    Raises:
        AssertionError: says how many elements are off, the worst one, where it is, and how much was allowed.
        ValueError: the bound of a finite value is infinite or NaN.
    """
    __tracebackhide__ = True
    assert isinstance(actual, torch.Tensor), f"{what}: expected a tensor, got {type(actual).__name__}"
    seen = to_numpy(actual).astype(np.float64)
    wanted = np.asarray(expected, dtype=np.float64)
    assert seen.shape == wanted.shape, f"{what}: shape {seen.shape}, expected {wanted.shape}"
    if not seen.size:
        return
    allowed = np.broadcast_to(np.asarray(bound, dtype=np.float64), wanted.shape)
    finite = np.isfinite(wanted)
    if not np.isfinite(allowed[finite]).all():
        raise ValueError(f"{what}: a bound that is not finite allows everything")
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        error = np.where(finite, np.abs(seen - wanted), np.where(_same(seen, wanted), 0.0, np.inf))
        error = np.where(np.isnan(error), np.inf, error)
        share = np.where(error == 0, 0.0, np.where(np.isinf(error), np.inf, error / allowed))
    worst = int(np.argmax(share))
    if share.flat[worst] <= 1:
        SHARES_USED.append(float(share.flat[worst]))
        return
    where = [int(index) for index in np.unravel_index(worst, wanted.shape)]
    raise AssertionError(
        f"{what}: {int((share > 1).sum())} of {wanted.size} elements are off\n"
        f"expected {wanted.flat[worst]:.9g} at {where}\n"
        f"seen     {seen.flat[worst]:.9g}\n"
        f"off by   {error.flat[worst]:.3g}, allowed {allowed.flat[worst]:.3g}: {because}"
    )


def assert_same(actual: Any, expected: Any, *, what: str) -> None:
    """Asserts that two tensors agree exactly in values, shape, dtype and device; NaN agrees with NaN, 0 with -0."""
    __tracebackhide__ = True
    try:
        torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from None


def _same(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    same: np.ndarray = (left == right) | (np.isnan(left) & np.isnan(right))
    return same


def relative_bound(reference: np.ndarray, count: int) -> np.ndarray:
    """Bound for ``count`` float64 roundings of Python floats, as schedules use, and as many of the reference."""
    bound: np.ndarray = gamma(count, rounding_unit(torch.float64)) * np.abs(reference) + math.ulp(0.0)
    return bound


def running_bound(cell: Cell, value: np.ndarray, error: np.ndarray, orders: int = 4) -> np.ndarray:
    """Bound from a running error analysis (``torchclaims/reference/differentiation.py``) of the formula.

    ``error`` is in units of roundoff, for one order of the operations; kernels choose among others, such as the
    maximum taken off first or a quotient as a product with the inverse: ``orders`` times as much is granted.
    """
    smallest = float(torch.finfo(cell.dtype).smallest_normal) * 2 * unit_roundoff(cell.dtype)
    bound: np.ndarray = orders * rounding_unit(cell.dtype) * error + roundings(cell, 1, value) + 64 * smallest
    return bound
