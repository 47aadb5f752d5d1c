"""Sampling at the points of a grid, and grids of affine maps."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.covering import covering
from torchclaims.reference.resizing import affine_grid, grid_sample, sample_weights
from torchclaims.targets import to_numpy
from torchclaims.tolerance import accumulation_unit, assert_within, gamma

MODES = [("bilinear", 2), ("nearest", 2), ("bicubic", 2), ("bilinear", 3), ("nearest", 3)]
PADDINGS = ["zeros", "border", "reflection"]
BECAUSE = "roundings of places, weights and sums"
KINDS = {f"{mode} in {dims}-D": (mode, dims) for mode, dims in MODES}
CORNERS = {"edges": False, "corners": True}
every_pair = covering(KINDS, mode__dims=KINDS, padding=PADDINGS, corners=CORNERS)
every_corner = pytest.mark.parametrize("corners", CORNERS.values(), ids=CORNERS)


def grid_points(rng, dims, sizes, corners):
    """Places in and beyond the input, none next to where a mode jumps or has a corner: there rounding decides."""
    shape = (2, *(2, 5, 2)[:dims])
    axes = []
    for size in reversed(sizes):
        whole = rng.integers(-size - 1, 2 * size + 1, size=shape)
        at = whole + rng.choice([0.125, 0.25, 0.375, 0.625, 0.75, 0.875], size=shape)
        axes.append(at / (size - 1) * 2 - 1 if corners else (2 * at + 1) / size - 1)
    return np.stack(axes, -1)


def setting(cell, rng, dims, corners):
    sizes = (3, 5, 4)[:dims]
    x = cell.tensor(rng.integers(-9, 10, size=(2, 3, *sizes)).astype(float), requires_grad=True)
    grid = cell.tensor(grid_points(rng, dims, sizes, corners), requires_grad=True)
    return sizes, x, grid


def allowed(cell, sizes, scale):
    return gamma(400 * max(sizes), accumulation_unit(cell)) * scale


@claim("grid-sample-formula")
@every_pair
def test_forward(cell, rng, mode, dims, padding, corners):
    sizes, x, grid = setting(cell, rng, dims, corners)
    out = cell.run(nn.functional.grid_sample)(x, grid, mode, padding, corners)
    expected = grid_sample(to_numpy(x), sample_weights(to_numpy(grid), sizes, mode, padding, corners))
    assert_within(out, expected, allowed(cell, sizes, 20.0), what="samples", because=BECAUSE)


@claim("grid-sample-gradients")
@every_pair
def test_gradients(cell, rng, mode, dims, padding, corners):
    sizes, x, grid = setting(cell, rng, dims, corners)
    out = nn.functional.grid_sample(x, grid, mode, padding, corners)
    grad = cell.tensor(rng.integers(-2, 3, size=tuple(out.shape)).astype(float))
    out.backward(grad)
    points, values, given = to_numpy(grid), to_numpy(x), to_numpy(grad)
    weights = sample_weights(points, sizes, mode, padding, corners)
    flat = given.reshape(*given.shape[:2], -1)
    of_x = np.stack([g @ w.reshape(g.shape[-1], -1) for g, w in zip(flat, weights, strict=True)]).reshape(values.shape)
    assert_within(x.grad, of_x, allowed(cell, sizes, 2.0 * flat.shape[-1]), what="gradient of input", because=BECAUSE)
    # Linear and cubic weights are polynomials between kinks: a central difference is exact but for cubes.
    step = 2.0**-12
    for axis in range(dims):
        moved = np.zeros(dims)
        moved[axis] = step
        ends = [grid_sample(values, sample_weights(points + s * moved, sizes, mode, padding, corners)) for s in (1, -1)]
        slope = (given * (ends[0] - ends[1]) / (2 * step)).sum(1)
        bound = allowed(cell, sizes, 800.0) + 2e-9 + (5e-3 if mode == "bicubic" else 0)
        assert_within(grid.grad[..., axis], slope, bound, what=f"gradient of coordinate {axis}", because=BECAUSE)


@claim("grid-sample-reflected-example")
def test_reflected_until_within(cell):
    x = cell.tensor(np.arange(8.0).reshape(1, 1, 1, 8))
    samples = [
        nn.functional.grid_sample(x, cell.tensor([[[[place, 0.0]]]]), padding_mode="reflection", align_corners=False)
        for place in (-3.5, -0.5)
    ]
    assert_within(samples[0], to_numpy(samples[1]), allowed(cell, (8,), 8.0), what="reflected", because=BECAUSE)


@claim("grid-sample-formula")
def test_defaults(cell, rng):
    sizes, x, grid = setting(cell, rng, 2, False)
    out = nn.functional.grid_sample(x, grid, align_corners=False)
    expected = grid_sample(to_numpy(x), sample_weights(to_numpy(grid), sizes, "bilinear", "zeros", False))
    assert_within(out, expected, allowed(cell, sizes, 20.0), what="samples", because=BECAUSE)


@claim("grid-sample-nan")
@pytest.mark.parametrize(("mode", "dims"), MODES)
@pytest.mark.parametrize("padding", PADDINGS)
@every_corner
def test_not_a_number(cell, mode, dims, padding, corners):
    x = cell.tensor(np.arange(1.0, 1 + 3**dims).reshape(1, 1, *[3] * dims))
    samples = []
    for place in (float("nan"), -1.0):
        grid = cell.tensor([place] + [0.0] * (dims - 1)).reshape(1, *[1] * dims, dims)
        samples.append(nn.functional.grid_sample(x, grid, mode, padding, corners).item())
    assert samples[0] == samples[1], f"expected what is at -1, {samples[1]:g}, seen {samples[0]:g}"


SIZES = {"2-D": (3, 4), "2-D, one row": (1, 5), "3-D": (2, 3, 4), "3-D, one pixel": (1, 1, 1)}


@claim("affine-grid-formula")
@pytest.mark.filterwarnings("ignore:Since version 1.3.0")
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@every_corner
def test_affine_grid(cell, rng, sizes, corners):
    dims = len(sizes)
    theta = cell.tensor(rng.normal(size=(2, dims, dims + 1)), requires_grad=True)
    grid = cell.run(nn.functional.affine_grid)(theta, [2, 3, *sizes], corners)
    expected = affine_grid(to_numpy(theta), sizes, corners)
    bound = gamma(dims + 8, accumulation_unit(cell)) * np.abs(to_numpy(theta)).sum()
    assert_within(grid, expected, bound, what="grid", because=BECAUSE)
    grad = cell.tensor(rng.normal(size=tuple(grid.shape)))
    grid.backward(grad)
    points = affine_grid(np.eye(dims, dims + 1)[None], sizes, corners)[0].reshape(-1, dims)
    points = np.concatenate([points, np.ones((len(points), 1))], 1)
    of_theta = np.einsum("npi,pj->nij", to_numpy(grad).reshape(2, -1, dims), points)
    magnitude = np.einsum("npi,pj->nij", abs(to_numpy(grad)).reshape(2, -1, dims), abs(points) + 1)
    bound = gamma(len(points) + 8, accumulation_unit(cell)) * magnitude
    assert_within(theta.grad, of_theta, bound, what="gradient of theta", because=BECAUSE)


@claim("affine-grid-identity")
@pytest.mark.parametrize("dims", [2, 3])
@every_corner
def test_identity(cell, rng, dims, corners):
    x = cell.tensor(rng.normal(size=(2, 3, *(4, 5, 3)[:dims])))
    theta = cell.tensor(np.eye(dims, dims + 1)[None].repeat(2, 0))
    grid = nn.functional.affine_grid(theta, x.shape, align_corners=corners)
    out = nn.functional.grid_sample(x, grid, align_corners=corners)
    bound = allowed(cell, x.shape[2:], float(x.abs().max()))
    assert_within(out, to_numpy(x), bound, what="samples", because=BECAUSE)


@claim("affine-grid-formula")
@pytest.mark.filterwarnings("ignore:Default grid_sample and affine_grid")
def test_default_is_from_edge_to_edge(cell):
    grid = nn.functional.affine_grid(
        cell.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), [1, 1, 2, 4], align_corners=None
    )
    expected = affine_grid(np.eye(2, 3)[None], (2, 4), False)
    bound = gamma(10, accumulation_unit(cell))
    assert_within(grid, expected, bound, what="grid", because=BECAUSE)
    assert torch.isfinite(grid).all()
