"""Bounds: wide enough for any order of summation, too narrow for a fault; and how a comparison speaks."""

import numpy as np
import pytest
import torch

from torchclaims import tolerance
from torchclaims.catalogue import DTYPES
from torchclaims.targets import Cell, Device, from_numpy, to_numpy

CELLS = {name: Cell(Device("cpu", "cpu"), getattr(torch, name)) for name in DTYPES}
every_dtype = pytest.mark.parametrize("target", CELLS.values(), ids=CELLS)


@every_dtype
@pytest.mark.parametrize("order", ["ascending", "descending", "pairwise"])
def test_a_sum_in_any_order_stays_within_its_bound(target, rng, order):
    left, right = (target.tensor(rng.standard_normal((50, 64))) for _ in range(2))
    exact = (to_numpy(left) * to_numpy(right)).sum(1)
    magnitude = np.abs(to_numpy(left) * to_numpy(right)).sum(1)
    wide = torch.float32 if target.dtype in (torch.float16, torch.bfloat16) else target.dtype
    products = left.to(wide) * right.to(wide)
    columns = list(products.unbind(1))
    if order == "descending":
        columns.reverse()
    while len(columns) > 1:
        columns = (
            [a + b for a, b in zip(columns[::2], columns[1::2], strict=True)]
            if order == "pairwise"
            else [columns[0] + columns[1], *columns[2:]]
        )
    bound = tolerance.sum_bound(target, 64, magnitude, exact)
    tolerance.assert_within(columns[0].to(target.dtype), exact, bound, what="sum", because="any order")


@every_dtype
def test_a_missing_term_is_outside_the_bound(target, rng):
    left, right = (to_numpy(target.tensor(rng.uniform(0.5, 1, (50, 64)))) for _ in range(2))
    exact = (left * right).sum(1)
    bound = tolerance.sum_bound(target, 64, exact, exact)
    assert (bound < (left * right).min(1)).all()


@every_dtype
@pytest.mark.parametrize("offset", [0.0, 3.0, 100.0])
def test_a_normalisation_stays_within_its_bound(target, rng, offset):
    x = target.tensor(offset + rng.standard_normal((6, 40)))
    values = to_numpy(x)
    wide = x.float() if target.dtype in (torch.float16, torch.bfloat16) else x
    mean, variance = wide.mean(1, keepdim=True), wide.var(1, unbiased=False, keepdim=True)
    scale = (variance + 1e-5).rsqrt()
    output = (wide * scale - mean * scale).to(target.dtype)
    expected = (values - values.mean(1, keepdims=True)) / np.sqrt(values.var(1, keepdims=True) + 1e-5)
    bound = tolerance.normalisation_bound(target, values, (1,), 1e-5).output
    tolerance.assert_within(output, expected, bound, what="output", because="conditioning")


def test_too_long_a_sum_has_no_bound():
    with pytest.raises(ValueError, match="leave no digit"):
        tolerance.gamma(200, tolerance.unit_roundoff(torch.bfloat16))


SPECIAL = {
    "a NaN for a number": ([np.nan], [1.0]),
    "a number for a NaN": ([1.0], [np.nan]),
    "the other infinity": ([np.inf], [-np.inf]),
    "an infinity for a number": ([np.inf], [1e30]),
    "a number for an infinity": ([1e30], [np.inf]),
}


@pytest.mark.parametrize("bound", [np.inf, np.nan])
def test_a_bound_that_allows_everything_is_refused(bound):
    with pytest.raises(ValueError, match="allows everything"):
        tolerance.assert_within(torch.ones(1), [1.0], bound, what="x", because="")


@pytest.mark.parametrize(("seen", "expected"), SPECIAL.values(), ids=SPECIAL)
def test_special_values_must_match(seen, expected):
    with pytest.raises(AssertionError, match="1 of 1 elements are off"):
        tolerance.assert_within(torch.tensor(seen), expected, 1e9, what="x", because="")


def test_matching_special_values_pass():
    values = [np.nan, np.inf, -np.inf, 1.0]
    tolerance.assert_within(torch.tensor(values), values, 0.0, what="x", because="")


@pytest.mark.parametrize(
    ("seen", "message"),
    [(torch.ones(2, 1), r"x: shape \(2, 1\), expected \(2,\)"), ([1.0, 1.0], "x: expected a tensor, got list")],
)
def test_shape_and_type_must_match(seen, message):
    with pytest.raises(AssertionError, match=message):
        tolerance.assert_within(seen, [1.0, 1.0], 1.0, what="x", because="")


def test_the_share_of_the_bound_is_recorded():
    tolerance.SHARES_USED.clear()
    tolerance.assert_within(torch.tensor([1.0, 1.25]), [1.0, 1.0], 1.0, what="x", because="")
    assert tolerance.SHARES_USED == [0.25]


@pytest.mark.parametrize("changed", [torch.tensor([1.0, -0.0 + 1e-45]), torch.ones(2).double(), torch.ones(1)])
def test_same_is_exact(changed):
    tolerance.assert_same(torch.tensor([1.0, np.nan]), torch.tensor([1.0, np.nan]), what="x")
    with pytest.raises(AssertionError, match=r"^x: "):
        tolerance.assert_same(changed, torch.tensor([1.0, 0.0]), what="x")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (2, 3)])
def test_arrays_travel_to_tensors_and_back(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    tensor = from_numpy(array)
    assert tensor.dtype == getattr(torch, dtype)
    back = to_numpy(tensor)
    assert back.shape == shape
    np.testing.assert_array_equal(back, array)
    if array.size:
        back[...] = 0
        np.testing.assert_array_equal(to_numpy(tensor), array, err_msg="the copy shares memory with the tensor")
