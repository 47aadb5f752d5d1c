"""What the notes on numerical accuracy promise, and their examples."""

import numpy as np
import pytest
import torch

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, sum_bound


@claim("acc-batch-slice")
@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 4, 5), (17, 33, 9), (2, 64, 31)])
def test_batched_product(cell, rng, sizes):
    rows, inner, columns = sizes
    a, b = cell.tensor(rng.normal(size=(3, rows, inner))), cell.tensor(rng.normal(size=(3, inner, columns)))
    batched = a @ b
    expected = to_numpy(a) @ to_numpy(b)
    bound = sum_bound(cell, inner, np.abs(to_numpy(a)) @ np.abs(to_numpy(b)), expected)
    because = f"sums of {inner} products"
    assert_within(batched, expected, bound, what="(A @ B)", because=because)
    for number in range(3):
        assert_within(a[number] @ b[number], expected[number], bound[number], what="A[i] @ B[i]", because=because)
        assert_within(
            batched[number], to_numpy(a[number] @ b[number]), 2 * bound[number], what="slice", because=because
        )


@claim("acc-overflow")
def test_norm_overflows(cell):
    a = cell.tensor([1e20, 1e20])
    assert a.norm().item() == np.inf
    double = a.double().norm()
    assert f"{double.item():.4e}" == "1.4142e+20"
    assert torch.isfinite(double.float())
    assert not torch.isfinite(a.norm())


@claim("acc-digits")
def test_digits(cell):
    digits = {torch.float32: 7, torch.float64: 16}[cell.dtype]
    one = cell.tensor([1.0])
    assert (one + 10.0 ** -(digits + 1)).item() == 1
    assert (one + 10.0 ** -(digits - 1)).item() != 1
    large, small = cell.tensor([10.0**digits]), cell.tensor([0.4])
    assert ((large + small) + small).item() != (large + (small + small)).item() or digits == 16
    assert ((large * 4 + small * 4) - large * 4).item() != (large * 4 - large * 4 + small * 4).item()


@claim("acc-row-sum")
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (9, 33), (4, 200)])
def test_row_sum(cell, rng, shape):
    a = cell.tensor(rng.normal(size=shape))
    row = to_numpy(a)[0]
    bound = sum_bound(cell, shape[1], np.abs(row).sum(), row.sum())
    assert_within(a.sum(-1)[0], row.sum(), bound, what="A.sum(-1)[0]", because="a sum of one row")
    assert_within(a[0, :].sum(), row.sum(), bound, what="A[0, :].sum()", because="a sum of one row")


@claim("acc-row-sum-as-printed")
def test_row_sum_as_printed(cell):
    a = cell.tensor([[1.0, 2.0], [4.0, 8.0]])
    assert a[:, 0].sum().item() == a.sum(-1)[0].item(), f"{a[:, 0].sum().item():g} is not {a.sum(-1)[0].item():g}"
