"""Interpolation beside matrices of weights, one for each axis."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.covering import board
from torchclaims.reference.resizing import resize, resize_matrix
from torchclaims.targets import to_numpy
from torchclaims.tolerance import accumulation_unit, assert_same, assert_within, gamma, rounding_unit, roundings

# What each mode is called in one axis, and how many dimensions its input has.
LINEAR = {"linear": ("linear", 1), "bilinear": ("linear", 2), "trilinear": ("linear", 3), "bicubic": ("cubic", 2)}
SHAPES = {
    "up": {1: ((2, 3, 5), (9,)), 2: ((2, 3, 3, 5), (7, 8)), 3: ((1, 2, 2, 3, 4), (3, 5, 9))},
    "down": {1: ((2, 3, 17), (7,)), 2: ((2, 3, 8, 9), (3, 4)), 3: ((1, 2, 4, 3, 7), (3, 2, 2))},
    "up and down": {1: ((1, 1, 2), (33,)), 2: ((1, 2, 7, 4), (3, 15)), 3: ((1, 1, 5, 2, 3), (2, 4, 3))},
    "from one": {1: ((2, 2, 1), (4,)), 2: ((2, 2, 1, 3), (3, 5)), 3: ((1, 2, 1, 2, 1), (2, 3, 3))},
    "to one": {1: ((2, 2, 6), (1,)), 2: ((2, 3, 4, 5), (3, 1)), 3: ((1, 2, 3, 4, 2), (1, 1, 3))},
    "doubled": {1: ((1, 9, 8), (16,)), 2: ((1, 9, 4, 8), (8, 16)), 3: ((1, 9, 2, 2, 4), (4, 4, 8))},
    "as it is": {1: ((1, 2, 5), (5,)), 2: ((1, 2, 3, 5), (3, 5)), 3: ((1, 2, 2, 3, 2), (2, 3, 2))},
}
KINDS = [
    *((mode, None, dims) for mode in ("nearest", "nearest-exact", "area") for dims in (1, 2, 3)),
    *((mode, corners, dims) for mode, (_, dims) in LINEAR.items() for corners in (None, False, True)),
]
KINDS_BY_NAME = {"-".join(map(str, kind)): kind for kind in KINDS}


def some_kinds_and_shapes(at):
    """Half of the kinds for each shape, half of the shapes for each kind; values and gradients take one each."""
    return board(2, at, mode__corners__dims=KINDS_BY_NAME, case=SHAPES.keys())


BECAUSE = "roundings of places and weights, and of sums"


def matrices_of(mode, sizes, wanted, corners=None, scales=None, antialias=False):
    along = LINEAR.get(mode, (mode,))[0]
    scales = scales or [None] * len(sizes)
    more = {"align_corners": bool(corners), "antialias": antialias}
    return [
        resize_matrix(along, *given[:2], scale=given[2], **more) for given in zip(sizes, wanted, scales, strict=True)
    ]


def bound_of(cell, matrices, magnitude, result):
    """Places err by some roundings of their size, and weights by three times as much, in each axis; sums are short.

    ``magnitude`` is that of all elements that an error of one place can bring in. Half precision may be rounded once an
    axis, and gradients are added up in it.
    """
    unit = accumulation_unit(cell)
    places = sum(6 * max(matrix.shape) + 8 for matrix in matrices)
    terms = sum(int((matrix != 0).sum(axis).max()) for matrix in matrices for axis in (0, 1))
    coarse = gamma(min(terms, 60), rounding_unit(cell.dtype)) if unit != rounding_unit(cell.dtype) else 0.0
    return (3 * gamma(places + terms, unit) + coarse) * magnitude + roundings(cell, 1, result)


def met(matrices):
    """For each output the inputs next to those that have a weight in it."""
    near = []
    for matrix in matrices:
        hit = np.pad((matrix != 0).astype(float), [(0, 0), (1, 1)])
        near.append(np.minimum(hit[:, :-2] + hit[:, 1:-1] + hit[:, 2:], 1))
    return near


def check(cell, x, out, matrices, what="output"):
    values = to_numpy(x)
    expected = resize(values, matrices)
    bound = bound_of(cell, matrices, resize(abs(values), met(matrices)), expected)
    assert_within(out, expected, bound, what=what, because=BECAUSE)


@claim("resize-formula")
@some_kinds_and_shapes(0)
def test_forward(cell, rng, mode, corners, dims, case):
    shape, wanted = SHAPES[case][dims]
    x = cell.tensor(rng.normal(size=shape))
    out = cell.run(nn.functional.interpolate)(x, size=wanted, mode=mode, align_corners=corners)
    assert out.dtype == cell.dtype
    check(cell, x, out, matrices_of(mode, shape[2:], wanted, corners))


@claim("resize-gradients")
@some_kinds_and_shapes(1)
def test_gradients(cell, rng, mode, corners, dims, case):
    check_gradient(cell, rng, mode, corners, dims, case)


@claim("resize-half-precision")
@some_kinds_and_shapes(0)
def test_half_precision(cell, rng, mode, corners, dims, case):
    x, out, matrices = check_gradient(cell, rng, mode, corners, dims, case)
    assert out.dtype == cell.dtype
    check(cell, x, out, matrices)


def check_gradient(cell, rng, mode, corners, dims, case):
    shape, wanted = SHAPES[case][dims]
    x = cell.tensor(rng.normal(size=shape), requires_grad=True)
    out = cell.run(nn.functional.interpolate)(x, size=wanted, mode=mode, align_corners=corners)
    grad = cell.tensor(rng.normal(size=tuple(out.shape)))
    out.backward(grad)
    matrices = matrices_of(mode, shape[2:], wanted, corners)
    values = to_numpy(grad)
    expected = resize(values, [matrix.T for matrix in matrices])
    magnitude = resize(abs(values), [near.T for near in met(matrices)])
    assert_within(x.grad, expected, bound_of(cell, matrices, magnitude, expected), what="gradient", because=BECAUSE)
    return x, out, matrices


FACTORS = {
    "nearest, 1-D": ("nearest", (1, 2, 7), (1.5,)),
    "nearest, 2-D": ("nearest", (1, 2, 5, 6), (2.0, 0.75)),
    "nearest-exact, 2-D": ("nearest-exact", (1, 2, 5, 6), (1.25, 0.75)),
    "linear": ("linear", (2, 2, 7), (1.7,)),
    "bilinear": ("bilinear", (1, 2, 5, 6), (2.3, 0.6)),
    "bicubic": ("bicubic", (1, 2, 5, 6), (1.7, 0.8)),
    "trilinear": ("trilinear", (1, 2, 3, 4, 5), (1.7, 0.8, 2.5)),
}


@claim("resize-scale-factor")
@pytest.mark.parametrize(("mode", "shape", "factors"), FACTORS.values(), ids=FACTORS)
@pytest.mark.parametrize("recompute", [None, False, True], ids=["default", "not recomputed", "recomputed"])
def test_scale_factor(cell, rng, mode, shape, factors, recompute):
    wanted = [int(np.floor(size * factor)) for size, factor in zip(shape[2:], factors, strict=True)]
    x = cell.tensor(rng.normal(size=shape))
    corners = False if mode in LINEAR else None
    layer = nn.Upsample(None, factors, mode, corners, recompute)
    matrices = matrices_of(mode, shape[2:], wanted, scales=None if recompute else factors)
    assert layer.align_corners is corners
    check(cell, x, layer(x), matrices)


@claim("resize-scale-factor")
@pytest.mark.parametrize("mode", ["nearest", "area", "linear"])
def test_size_is_rounded_down(mode):
    sizes = {(size, factor): size * factor for size in (1, 2, 5, 10, 33) for factor in (0.3, 0.57, 1.15, 2, 2.9)}
    seen = {
        (size, factor): nn.functional.interpolate(torch.ones(1, 1, size), scale_factor=factor, mode=mode).shape[-1]
        for (size, factor), wanted in sizes.items()
        if wanted >= 1
    }
    assert seen == {key: int(np.floor(wanted)) for key, wanted in sizes.items() if wanted >= 1}


@claim("resize-nearest-whole-factor")
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("factors", [range(1, 41), [41], [47]], ids=["up to 40", "41", "47"])
def test_whole_factor(cell, mode, factors):
    for factor in factors:
        for dims in (1, 2):
            x = cell.tensor(np.arange(3.0).reshape(1, 1, *[1] * (dims - 1), 3))
            out = nn.functional.interpolate(x, scale_factor=float(factor), mode=mode)
            counts = [int((to_numpy(out).reshape(-1, 3 * factor)[0] == value).sum()) for value in range(3)]
            assert counts == [factor] * 3, f"times {factor}, {dims}-D: expected {[factor] * 3}, seen {counts}"
            assert_same(
                out,
                x.repeat_interleave(factor, -1).repeat_interleave(factor if dims > 1 else 1, 2 if dims > 1 else 1),
                what=f"times {factor}",
            )


@claim("resize-corners")
@pytest.mark.parametrize("mode", LINEAR)
def test_corners_are_kept(cell, rng, mode):
    _, dims = LINEAR[mode]
    x = cell.tensor(rng.integers(-9, 10, size=(1, 2, *(4, 3, 5)[:dims])).astype(float))
    out = nn.functional.interpolate(x, size=(9, 7, 6)[:dims], mode=mode, align_corners=True)
    ends = np.ix_(*[[0, -1]] * dims)
    for channel in range(2):
        at_corners = to_numpy(x)[0, channel][ends]
        bound = gamma(600, accumulation_unit(cell)) * 9
        corners = cell.tensor(to_numpy(out)[0, channel][ends])
        assert_within(corners, at_corners, bound, what="corners", because=BECAUSE)


@claim("resize-corners")
@pytest.mark.parametrize("mode", ["linear", "bilinear", "bicubic", "trilinear"])
def test_independent_of_the_size(cell, rng, mode):
    _, dims = LINEAR[mode]
    x = cell.tensor(rng.normal(size=(1, 2, *(4, 3, 5)[:dims], 0)[: dims + 2]))
    longer = torch.cat([x, x.flip(-1) + 1], -1)
    short, long = (nn.functional.interpolate(given, scale_factor=2.0, mode=mode) for given in (x, longer))
    same = 2 * x.shape[-1] - 3
    bound = gamma(600, accumulation_unit(cell)) * (1 + np.abs(to_numpy(longer)).max()) * 4
    assert_within(long[..., :same], to_numpy(short[..., :same]), bound, what="outputs before the end", because=BECAUSE)


FILTERED = [((1, 2, 7, 9), (3, 4)), ((2, 3, 5, 6), (5, 2)), ((1, 1, 4, 5), (9, 11)), ((1, 2, 33, 3), (4, 2)),
            ((1, 3, 1, 2), (3, 3))]  # fmt: skip
ONE_COLUMN = {
    "from one": ((1, 2, 4, 1), (2, 1)),
    "from many": ((2, 3, 5, 6), (3, 1)),
    "enlarged": ((1, 1, 2, 3), (5, 1)),
}


def check_filtered(cell, rng, mode, shape, wanted):
    x = cell.tensor(rng.normal(size=shape), requires_grad=True)
    out = nn.functional.interpolate(x, size=wanted, mode=mode, antialias=True)
    along = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    matrices = [resize_matrix(along, *pair, antialias=True) for pair in zip(shape[2:], wanted, strict=True)]
    check(cell, x, out, matrices)
    grad = cell.tensor(rng.normal(size=tuple(out.shape)))
    out.backward(grad)
    expected = resize(to_numpy(grad), [matrix.T for matrix in matrices])
    magnitude = resize(abs(to_numpy(grad)), [near.T for near in met(matrices)])
    assert_within(x.grad, expected, bound_of(cell, matrices, magnitude, expected), what="gradient", because=BECAUSE)


@claim("resize-antialias")
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("shape", "wanted"), FILTERED)
def test_antialias(cell, rng, mode, shape, wanted):
    check_filtered(cell, rng, mode, shape, wanted)


@claim("resize-lanczos")
@pytest.mark.parametrize(("shape", "wanted"), FILTERED)
def test_lanczos(cell, rng, shape, wanted):
    check_filtered(cell, rng, "lanczos", shape, wanted)


@claim("resize-lanczos")
def test_lanczos_needs_antialias_and_images():
    with pytest.raises(ValueError, match="Lanczos mode requires antialias=True"):
        nn.functional.interpolate(torch.ones(1, 1, 4, 4), size=2, mode="lanczos")
    with pytest.raises(ValueError, match="requires a 4-D tensor"):
        nn.functional.interpolate(torch.ones(1, 1, 4), size=2, mode="lanczos", antialias=True)


@claim("resize-antialias-one-column")
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("shape", "wanted"), ONE_COLUMN.values(), ids=ONE_COLUMN)
def test_one_column(cell, mode, shape, wanted):
    # In each column the rows are 0, 1, 2 and so on, whose means differ: what is seen is the same in every run.
    values = np.zeros(shape) + np.arange(float(shape[2])).reshape(-1, 1)
    x = cell.tensor(values)
    out = nn.functional.interpolate(x, size=wanted, mode=mode, antialias=True)
    check(cell, x, out, matrices_of(mode, shape[2:], wanted, antialias=True), what="one column")


@claim("resize-bytes")
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_bytes(cell, rng, mode):
    values = rng.choice([0.0, 255.0], size=(1, 3, 6, 7))
    x = cell.tensor(values, dtype=torch.uint8)
    out = nn.functional.interpolate(x, size=(11, 9), mode=mode)
    assert out.dtype == torch.uint8
    # Each pass ends in whole numbers, of the width first.
    high, wide = matrices_of(mode, (6, 7), (11, 9))
    rows = resize(values, [wide])
    assert mode != "bicubic" or rows.max() > 256
    expected = resize(np.clip(rows, 0, 255).swapaxes(2, 3), [high]).swapaxes(2, 3)
    # Weights are kept as whole numbers, and rows are rounded before columns are summed.
    bound = 0.0 if mode == "nearest" else 2.0
    seen = out.to(torch.float32)
    assert_within(seen, np.clip(expected, 0, 255), bound, what="bytes", because="two roundings to whole numbers")


LAYERS = {
    "default": (lambda: nn.Upsample((5, 4)), "nearest", None, (5, 4), None),
    "factor": (lambda: nn.Upsample(scale_factor=2), "nearest", None, (6, 8), (2.0, 2.0)),
    "factors": (lambda: nn.Upsample(None, (2, 1.5)), "nearest", None, (6, 6), (2.0, 1.5)),
    "one size": (lambda: nn.Upsample(5), "nearest", None, (5, 5), None),
    "bilinear": (lambda: nn.Upsample((5, 6), None, "bilinear"), "bilinear", False, (5, 6), None),
    "bilinear, corners": (
        lambda: nn.Upsample((5, 6), mode="bilinear", align_corners=True),
        "bilinear",
        True,
        (5, 6),
        None,
    ),
    "nearest 2d": (lambda: nn.UpsamplingNearest2d((5, 9)), "nearest", None, (5, 9), None),
    "nearest 2d, factor": (lambda: nn.UpsamplingNearest2d(None, (2, 3)), "nearest", None, (6, 12), (2.0, 3.0)),
    "bilinear 2d": (lambda: nn.UpsamplingBilinear2d((5, 6)), "bilinear", True, (5, 6), None),
    "bilinear 2d, factor": (lambda: nn.UpsamplingBilinear2d(scale_factor=2), "bilinear", True, (6, 8), (2.0, 2.0)),
}


@claim("resize-layers")
@pytest.mark.parametrize(("make", "mode", "corners", "wanted", "scales"), LAYERS.values(), ids=LAYERS)
def test_layers(cell, rng, make, mode, corners, wanted, scales):
    x = cell.tensor(rng.normal(size=(2, 3, 3, 4)))
    check(cell, x, make()(x), matrices_of(mode, (3, 4), wanted, corners, scales))


@claim("resize-layers")
def test_layers_keep_their_arguments():
    layer = nn.Upsample((3, 4), None, "bicubic", True, False)
    kept = (layer.size, layer.scale_factor, layer.mode, layer.align_corners, layer.recompute_scale_factor)
    assert kept == ((3, 4), None, "bicubic", True, False)
    assert nn.Upsample(scale_factor=(2, 3)).scale_factor == (2.0, 3.0)
    assert isinstance(nn.Upsample(scale_factor=2).scale_factor, float)
    assert (layer.name, nn.UpsamplingNearest2d(2).name) == ("Upsample", "UpsamplingNearest2d")
    defaults = nn.Upsample(2)
    assert (defaults.align_corners, defaults.recompute_scale_factor, defaults.scale_factor) == (None, None, None)


REFUSED = {
    "both": ((1, 1, 4, 4), {"size": 2, "scale_factor": 2.0}, ValueError, "only one of size or scale_factor"),
    "neither": ((1, 1, 4, 4), {}, ValueError, "either size or scale_factor"),
    "three sizes": ((1, 1, 4, 4), {"size": (2, 2, 2)}, ValueError, "same number of spatial dimensions"),
    "one factor": ((1, 1, 4, 4), {"scale_factor": (2.0,)}, ValueError, "same number of spatial dimensions"),
    "corners": ((1, 1, 4, 4), {"size": 2, "align_corners": False}, ValueError, "align_corners option can only be set"),
    "mode": ((1, 1, 4, 4), {"size": 2, "mode": "some"}, NotImplementedError, "Input Error"),
    "linear": ((1, 1, 4, 4), {"size": 2, "mode": "linear"}, NotImplementedError, "needs 3D input"),
    "bilinear": ((1, 1, 4), {"size": 2, "mode": "bilinear"}, NotImplementedError, "needs 4D input"),
    "trilinear": ((1, 1, 4, 4), {"size": 2, "mode": "trilinear"}, NotImplementedError, "needs 5D input"),
    "bicubic": ((1, 1, 4), {"size": 2, "mode": "bicubic"}, NotImplementedError, "Input Error"),
    "antialias": ((1, 1, 4, 4), {"size": 2, "antialias": True}, ValueError, "Anti-alias option"),
    "recompute": ((1, 1, 4, 4), {"size": 2, "recompute_scale_factor": True}, ValueError, "not meaningful"),
    "dimensions": ((4, 4), {"size": 2}, NotImplementedError, "Only 3D, 4D and 5D input"),
    "nothing": ((1, 1, 4, 4), {"size": 0}, RuntimeError, "should be greater than 0"),
}


@claim("resize-refused")
@pytest.mark.parametrize(("shape", "more", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(shape, more, error, message):
    with pytest.raises(error, match=message):
        nn.functional.interpolate(torch.ones(shape), **more)
    if "antialias" not in more:
        with pytest.raises(error, match=message):
            nn.Upsample(**more)(torch.ones(shape))


@claim("resize-repr")
def test_repr():
    assert repr(nn.Upsample(scale_factor=2)) == "Upsample(scale_factor=2.0, mode='nearest')"
    assert repr(nn.Upsample((2, 3), mode="bilinear")) == "Upsample(size=(2, 3), mode='bilinear')"
    assert (
        repr(nn.UpsamplingNearest2d(scale_factor=(2, 3)))
        == "UpsamplingNearest2d(scale_factor=(2.0, 3.0), mode='nearest')"
    )
    assert repr(nn.UpsamplingBilinear2d(4)) == "UpsamplingBilinear2d(size=4, mode='bilinear')"
