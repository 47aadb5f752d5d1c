"""Fractional max pooling, by what its windows must have in common, whatever their random places."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.pooling import max_pool_backward
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within

LAYERS = {2: nn.FractionalMaxPool2d, 3: nn.FractionalMaxPool3d}

# (sizes of the input, kernel, sizes of the output)
CASES = {
    "2-D": ((9, 13), (2, 3), (5, 4)),
    "2-D, one window": ((5, 7), (5, 3), (1, 1)),
    "2-D, as many as fit": ((7, 6), (3, 2), (5, 5)),
    "2-D, kernel of one": ((8, 9), (1, 1), (3, 4)),
    "3-D": ((7, 8, 10), (2, 3, 2), (3, 4, 5)),
    "3-D, nearly as many as fit": ((5, 4, 6), (2, 1, 3), (3, 3, 3)),
}


def starts(cell, layer, sizes, axis):
    """Where the windows of each sample and channel start along ``axis``: a ramp has its maximum at a window's end."""
    ramp = np.arange(sizes[axis], dtype=float).reshape([-1 if a == axis else 1 for a in range(len(sizes))])
    x = cell.tensor(np.broadcast_to(ramp, (3, 4, *sizes)))
    ends = to_numpy(cell.run(layer)(x))
    along = np.moveaxis(ends, axis + 2, 2).reshape(3, 4, ends.shape[axis + 2], -1)
    assert (along == along[..., :1]).all(), "windows of one row differ in extent"
    return (along[..., 0] - layer.kernel_size[axis] + 1).astype(int)


@claim("fractional-windows")
@pytest.mark.parametrize(("sizes", "kernel", "counts"), CASES.values(), ids=CASES)
def test_windows(cell, sizes, kernel, counts):
    layer = LAYERS[len(sizes)](kernel, output_size=counts)
    for axis, (size, extent, count) in enumerate(zip(sizes, kernel, counts, strict=True)):
        places = starts(cell, layer, sizes, axis)
        assert places.shape == (3, 4, count)
        assert places.min() >= 0
        assert (places[..., -1] == size - extent).all(), "the last window does not end with the input"
        steps = np.diff(places, axis=-1)
        # The paper's pseudo-random sequence: steps of alpha, rounded down or up; next to a whole one rounding may err.
        alpha = (size - extent) / max(1, count - 1)
        low, high = int(np.floor(alpha)), int(np.ceil(alpha))
        slack = int(low == high)
        assert (steps >= 1 - slack).all(), "windows do not move on"
        assert set(np.unique(steps[..., :-1])) <= {low - slack, low, high, high + slack}


@claim("fractional-windows")
@pytest.mark.parametrize("dims", LAYERS)
def test_windows_are_random(cell, dims):
    sizes, counts = (40, 37, 33)[:dims], (14, 14, 14)[:dims]  # so many steps that few sequences are alike
    layer = LAYERS[dims](2, output_size=counts)
    for axis in range(dims):
        once, again = (starts(cell, layer, sizes, axis) for _ in range(2))
        assert (once != again).any(), "two calls have the same windows"
        assert any((once[0] != one).any() for one in once[1:]), "all samples have the same windows"
        assert any((once[:, 0] != once[:, channel]).any() for channel in range(1, 4)), "all channels have the same"


@claim("fractional-indices")
@pytest.mark.parametrize("batch", [(2,), (), (0,)], ids=["batch", "no batch", "no samples"])
@pytest.mark.parametrize(("sizes", "kernel", "counts"), CASES.values(), ids=CASES)
def test_indices(cell, rng, sizes, kernel, counts, batch):
    layer = LAYERS[len(sizes)](kernel, output_size=counts, return_indices=True)
    plane = int(np.prod(sizes))
    shape = (*batch, 3, *sizes)
    values = [rng.permutation(plane) - plane / 2.0 for _ in range(int(np.prod((*batch, 3))))]
    x = cell.tensor(np.array(values).reshape(shape), requires_grad=True)
    out, indices = cell.run(layer)(x)
    assert indices.dtype == torch.int64
    assert tuple(out.shape) == tuple(indices.shape) == (*batch, 3, *counts)
    rows = x.detach().reshape(*batch, 3, plane)
    picked = rows.gather(-1, indices.reshape(*batch, 3, int(np.prod(counts))))
    assert_within(
        picked.reshape(out.shape), to_numpy(out), 0, what="what the indices name", because="it is the maximum"
    )
    # The maximum of a window is no smaller than what lies beside it at the same window's distance.
    places = np.stack(np.unravel_index(to_numpy(indices), sizes))
    for axis, extent in enumerate(kernel):
        along = np.moveaxis(places[axis], axis + len(batch) + 1, -1)
        assert (np.diff(along, axis=-1) > -extent).all(), "a maximum lies before the windows before it"
    grad = cell.tensor(rng.integers(-8, 9, out.shape).astype(float))
    out.backward(grad)
    expected = max_pool_backward(to_numpy(grad), to_numpy(indices), sizes)
    assert_within(x.grad, expected, 0, what="gradient", because="sums of small whole numbers are exact")


@claim("fractional-windows")
@pytest.mark.parametrize("dims", LAYERS)
def test_nan_wins(cell, dims):
    # The window that ends with the input has its last element, and no other window has.
    x = cell.tensor(np.where(np.arange(6**dims).reshape(1, 1, *[6] * dims) == 6**dims - 1, np.nan, 1.0))
    out = to_numpy(cell.run(LAYERS[dims](2, output_size=4))(x))
    assert np.isnan(out).sum() == 1
    assert np.isnan(out.flat[-1])


SIZES = {
    "a size for all": ({"output_size": 3}, (3, 3)),
    "a size each": ({"output_size": (2, 4)}, (2, 4)),
    "a ratio for all": ({"output_ratio": 0.5}, (4, 6)),
    "a ratio each": ({"output_ratio": (0.25, 0.75)}, (2, 9)),
    "a ratio that does not divide": ({"output_ratio": 0.45}, (3, 5)),
}


@claim("fractional-output-size")
@pytest.mark.parametrize(("arguments", "got"), SIZES.values(), ids=SIZES)
def test_output_size(cell, arguments, got):
    x = torch.zeros(2, 3, 8, 12, device=cell.device.name, dtype=cell.dtype)
    assert tuple(cell.run(nn.FractionalMaxPool2d(2, **arguments))(x).shape) == (2, 3, *got)
    deep = {name: value if isinstance(value, (int, float)) else (value[0], *value) for name, value in arguments.items()}
    layer = nn.FractionalMaxPool3d((2, 1, 2), **deep)
    assert layer.kernel_size == (2, 1, 2)
    assert tuple(cell.run(layer)(x[..., None, :, :].expand(2, 3, 8, 8, 12)).shape) == (2, 3, got[0], *got)


@claim("fractional-output-size")
@pytest.mark.parametrize("dims", LAYERS)
@pytest.mark.parametrize("axis", [0, 1])
def test_as_many_as_fit_and_one_more(cell, dims, axis):
    x = torch.zeros(1, 1, *[7] * dims, device=cell.device.name, dtype=cell.dtype)
    counts = [3] * dims
    # What fits is documented for two dimensions; three take one less.
    counts[axis] = 5 if dims == 2 else 4
    assert tuple(cell.run(LAYERS[dims](3, output_size=tuple(counts)))(x).shape) == (1, 1, *counts)
    counts[axis] = 6
    with pytest.raises(RuntimeError, match="too large relative to input"):
        LAYERS[dims](3, output_size=tuple(counts))(x)


REFUSED = {
    "neither": ({}, "requires specifying either an output size"),
    "both": ({"output_size": 2, "output_ratio": 0.5}, "only one of output_size and output_ratio"),
    "a ratio of 1": ({"output_ratio": 1.0}, "must be between 0 and 1"),
    "a ratio of 0": ({"output_ratio": 0.0}, "must be between 0 and 1"),
    "a ratio above 1 in the first": ({"output_ratio": (1.5, 0.5, 0.5)}, "must be between 0 and 1"),
    "a ratio of 0 in the first": ({"output_ratio": (0.0, 0.5, 0.5)}, "must be between 0 and 1"),
    "a ratio of 1 in the first": ({"output_ratio": (1.0, 0.5, 0.5)}, "must be between 0 and 1"),
    "a ratio of 1 in the second": ({"output_ratio": (0.5, 1.0, 0.5)}, "must be between 0 and 1"),
    "a ratio of 0 in the second": ({"output_ratio": (0.5, 0.0, 0.5)}, "must be between 0 and 1"),
    "a ratio of 1 in the last": ({"output_ratio": (0.5, 0.5, 1.0)}, "must be between 0 and 1"),
    "a ratio of 0 in the last": ({"output_ratio": (0.5, 0.5, 0.0)}, "must be between 0 and 1"),
}


@claim("fractional-refused")
@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        nn.FractionalMaxPool3d(2, **arguments)
    ratio = arguments.get("output_ratio")
    if isinstance(ratio, tuple) and 0 < ratio[0] < 1 and 0 < ratio[1] < 1:
        return  # Only the third is wrong, which two dimensions have not.
    with pytest.raises(ValueError, match=message):
        nn.FractionalMaxPool2d(2, **{**arguments, "output_ratio": ratio[:2]} if isinstance(ratio, tuple) else arguments)


@claim("fractional-kernel-refused")
@pytest.mark.parametrize("kernel", [0, -1, (2, 0, 2), (2, 2, -1)])
def test_kernel_refused(kernel):
    with pytest.raises(ValueError, match="kernel_size must be greater than 0"):
        nn.FractionalMaxPool3d(kernel, output_size=2)
    assert nn.FractionalMaxPool3d(1, output_size=2).kernel_size == (1, 1, 1)
