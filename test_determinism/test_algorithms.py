"""Deterministic algorithms: who refuses, who warns, who computes, and what empty memory holds."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, sum_bound

MESSAGE = "does not have a deterministic implementation"


@pytest.fixture(autouse=True)
def flag_as_it_was():
    mode = torch.get_deterministic_debug_mode()
    yield
    torch.set_deterministic_debug_mode(mode)


def unpool(dims):
    size = (1, 1) + (2,) * dims
    module = (nn.MaxUnpool1d, nn.MaxUnpool2d, nn.MaxUnpool3d)[dims - 1](2)
    return module(torch.ones(size), torch.zeros(size, dtype=torch.long))


REFUSED = {
    "MaxUnpool1d": lambda: unpool(1),
    "MaxUnpool2d": lambda: unpool(2),
    "MaxUnpool3d": lambda: unpool(3),
    "put_": lambda: torch.zeros(3).put_(torch.tensor([1]), torch.ones(1)),
}


@claim("det-flag-errors")
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    REFUSED[name]()
    torch.use_deterministic_algorithms(True)
    with pytest.raises(RuntimeError, match=MESSAGE):
        REFUSED[name]()
    torch.use_deterministic_algorithms(True, warn_only=True)
    with pytest.warns(UserWarning, match=MESSAGE):
        result = REFUSED[name]()
    torch.use_deterministic_algorithms(False)
    assert_same(result, REFUSED[name](), what=f"{name} that only warned")


def sums(cell, rng):
    index, values = torch.tensor(rng.integers(0, 5, 60)), cell.tensor(rng.normal(size=60))
    return index.to(values.device), values, np.zeros(5)


ADDERS = {
    "index_add": lambda zeros, index, values: zeros.index_add(0, index, values),
    "scatter_add": lambda zeros, index, values: zeros.scatter_add(0, index, values),
    "index_put": lambda zeros, index, values: zeros.index_put((index,), values, accumulate=True),
    "put_": lambda zeros, index, values: zeros.put_(index, values, accumulate=True),
}


@claim("det-flag-works")
@pytest.mark.parametrize("name", ADDERS)
def test_adds(cell, rng, name):
    index, values, expected = sums(cell, rng)
    size = expected.copy()
    np.add.at(expected, to_numpy(index), to_numpy(values))
    np.add.at(size, to_numpy(index), np.abs(to_numpy(values)))
    torch.use_deterministic_algorithms(True)
    results = [ADDERS[name](values.new_zeros(5), index, values) for _ in range(3)]
    bound = sum_bound(cell, 60, size, expected)
    assert_within(results[0], expected, bound, what=name, because="sums of at most 60 terms")
    for again in results[1:]:
        assert_same(again, results[0], what=f"{name} again")


@claim("det-flag-works")
@pytest.mark.parametrize("name", ["index_put", "index_copy", "setitem"])
def test_last_write_wins_each_time(cell, rng, name):
    index = torch.tensor(rng.integers(0, 3, 200), device=cell.device.name)
    values = cell.tensor(np.arange(200.0))
    torch.use_deterministic_algorithms(True)
    results = []
    for _ in range(3):
        x = values.new_zeros(3)
        if name == "setitem":
            x[index] = values
        else:
            x = x.index_put((index,), values) if name == "index_put" else x.index_copy(0, index, values)
        results.append(x)
    for again in results[1:]:
        assert_same(again, results[0], what=f"{name} again")
    for place in range(3):
        assert results[0][place].item() in to_numpy(values[index == place])


@claim("det-flag-works")
def test_gradient_of_indexing(cell, rng):
    index = torch.tensor(rng.integers(0, 4, 64), device=cell.device.name)
    upstream = cell.tensor(rng.normal(size=64))
    torch.use_deterministic_algorithms(True)
    x = cell.tensor(rng.normal(size=4), requires_grad=True)
    gradients = [torch.autograd.grad(x[(index,)], x, upstream)[0] for _ in range(2)]
    expected, size = np.zeros(4), np.zeros(4)
    np.add.at(expected, to_numpy(index), to_numpy(upstream))
    np.add.at(size, to_numpy(index), np.abs(to_numpy(upstream)))
    assert_within(gradients[0], expected, sum_bound(cell, 64, size, expected), what="gradient", because="sums")
    assert_same(gradients[1], gradients[0], what="gradient again")


STATES = {0: (False, False), 1: (True, True), 2: (True, False)}


@claim("det-flag-reads")
@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("mode", [0, 1, 2, "default", "warn", "error"])
def test_debug_mode(mode, before):
    number = mode if isinstance(mode, int) else ["default", "warn", "error"].index(mode)
    torch.set_deterministic_debug_mode(before)
    torch.set_deterministic_debug_mode(mode)
    assert torch.get_deterministic_debug_mode() == number
    read = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    assert read == STATES[number]
    torch.set_deterministic_debug_mode(0)
    torch.use_deterministic_algorithms(STATES[number][0], warn_only=STATES[number][1])
    assert torch.get_deterministic_debug_mode() == number


@claim("det-flag-reads")
def test_debug_mode_refused():
    torch.set_deterministic_debug_mode("warn")
    for mode in (3, -1, "loud"):
        with pytest.raises(RuntimeError, match="invalid value of debug_mode"):
            torch.set_deterministic_debug_mode(mode)
    with pytest.raises(TypeError, match="debug_mode must be str or int"):
        torch.set_deterministic_debug_mode(1.0)
    assert torch.get_deterministic_debug_mode() == 1


DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.complex64,
    torch.int8,
    torch.uint8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.bool,
]
EMPTIES = {
    "empty": lambda dtype: torch.empty(37, dtype=dtype),
    "empty_like": lambda dtype: torch.empty_like(torch.ones(37).to(dtype)),
    "new_empty": lambda dtype: torch.ones(1).to(dtype).new_empty(37),
    "empty_strided": lambda dtype: torch.empty_strided((5, 7), (1, 5), dtype=dtype),
    "resize_": lambda dtype: torch.ones(3).to(dtype).resize_(37)[3:],
    "channels_last": lambda dtype: torch.empty(2, 3, 2, 2, dtype=dtype, memory_format=torch.channels_last),
}


@claim("det-fill")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", EMPTIES)
def test_filled(name, dtype):
    torch.use_deterministic_algorithms(True)
    x = EMPTIES[name](dtype)
    if dtype.is_floating_point or dtype.is_complex:
        assert x.isnan().all()
    else:
        known = True if dtype == torch.bool else torch.iinfo(dtype).max
        assert (x == known).all(), f"{name} holds {x.flatten()[:3].tolist()}, expected {known}"


@claim("det-fill")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("old", "new"), [((2,), (5,)), ((2, 3), (4, 3)), ((2, 3), (3, 4)), ((1, 2, 2), (7,))], ids=str)
def test_resized_keeps_the_old_part(old, new, dtype):
    torch.use_deterministic_algorithms(True)
    count = math.prod(old)
    x = torch.arange(1, 1 + count).to(dtype).reshape(old).resize_(new)
    assert x.flatten()[:count].tolist() == list(range(1, 1 + count))
    assert x.flatten()[count:].isnan().all()


@claim("det-fill")
def test_resized_to_less_and_back():
    torch.use_deterministic_algorithms(True)
    y = torch.tensor([1.0, 2.0, 3.0])
    y.resize_(2).resize_(3)
    assert y[:2].tolist() == [1, 2]


@claim("det-fill-off")
def test_fill_off(cell):
    from torch.utils import deterministic

    assert deterministic.fill_uninitialized_memory is True
    torch.use_deterministic_algorithms(True)
    x = cell.tensor(np.arange(8.0))
    try:
        deterministic.fill_uninitialized_memory = False
        assert deterministic.fill_uninitialized_memory is False
        x.resize_(2).resize_(8)
        assert x.tolist() == list(range(8)), "memory that was there already is left as it is"
    finally:
        deterministic.fill_uninitialized_memory = True
