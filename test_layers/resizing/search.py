"""Counter-examples to interpolation, and to what only moves elements."""

from fractions import Fraction

import numpy as np

from test_layers.resizing.test_blocks import folded, shuffled, unfolded
from test_layers.resizing.test_interpolate import BECAUSE, LINEAR, bound_of, check, matrices_of, met
from torchclaims import claim
from torchclaims.reference.resizing import resize
from torchclaims.reference.windows import Windows
from torchclaims.search import DENSE, LAYOUTS, search
from torchclaims.tolerance import assert_within, gamma, rounding_unit


def jumps(mode, size, wanted):
    """Whether a place is where the nearest element changes, and rounding decides: resize-nearest-whole-factor."""
    half = Fraction(1, 2) if mode == "nearest-exact" else 0
    step = Fraction(size, wanted)
    whole = any(((row + half) * step).denominator == 1 for row in range(1, wanted))
    return whole and step.denominator & (step.denominator - 1) != 0


@claim("resize-formula", "resize-gradients")
@search
def test_interpolate(cell, script):
    mode = script.pick("nearest", "nearest-exact", "area", *LINEAR)
    dims = LINEAR[mode][1] if mode in LINEAR else script.pick(1, 2, 3)
    sizes, wanted = (script.sizes(dims, 1, 5, wide=dims < 3) for _ in range(2))
    if mode.startswith("nearest"):
        wanted = tuple(s if jumps(mode, s, w) else w for s, w in zip(sizes, wanted, strict=True))
    corners = script.pick(None, False, True) if mode in LINEAR else None
    x = script.tensor("x", (*script.integers(1, 3, 2), *sizes), grad=True)
    options = f"size={wanted}, mode={mode!r}, align_corners={corners}"
    out = script.run("out", f"torch.nn.functional.interpolate(x, {options})")
    matrices = matrices_of(mode, sizes, wanted, corners)
    check(cell, script.get("x"), out, matrices)
    assert x.ndim == out.dim()
    grad = script.tensor("grad", out.shape)
    (gradient,) = script.run("gradient", "torch.autograd.grad(out, [x], grad)")
    expected = resize(grad, [matrix.T for matrix in matrices])
    bound = bound_of(cell, matrices, resize(abs(grad), [near.T for near in met(matrices)]), expected)
    assert_within(gradient, expected, bound, what="gradient", because=BECAUSE)


@claim("pixel-shuffle")
@search
def test_shuffle(cell, script):
    factor = script.pick(2, 1, 3)
    lead, channels = script.integers(1, 2, script.pick(1, 0, 2)), script.integers(1, 3)[0]
    shape = (*lead, channels * factor**2, *script.sizes(2, 1, 4))
    # pixel-shuffle-channels-last-3d: what counts as such is refused.
    layouts = DENSE if len(lead) == 2 else tuple(LAYOUTS)
    x = script.tensor("x", shape, special=True, grad=True, layouts=layouts)
    out = script.run("out", f"torch.nn.functional.pixel_shuffle(x, {factor})")
    assert_within(out, shuffled(x, factor), 0, what="out", because="elements are moved")
    grad = script.tensor("grad", out.shape, layouts=layouts)
    (gradient,) = script.run("gradient", "torch.autograd.grad(out, [x], grad)")
    script.run("back", f"torch.nn.functional.pixel_unshuffle(grad, {factor})")
    again = shuffled(script.values("back"), factor)
    assert_within(script.get("grad"), again, 0, what="grad, there and back", because="elements are moved")
    assert_within(gradient, script.values("back"), 0, what="gradient", because="elements are moved")
    assert grad.shape == again.shape


@claim("unfold-formula", "fold-formula")
@search
def test_blocks(cell, script):
    kernel, stride, dilation = (script.integers(1, 3, 2) for _ in range(3))
    padding = script.integers(0, 2, 2)
    least = [max(1, d * (k - 1) + 1 - 2 * p) for d, k, p in zip(dilation, kernel, padding, strict=True)]
    sizes = tuple(low + more for low, more in zip(least, script.sizes(2, 0, 4), strict=True))
    windows = Windows.of(kernel, stride=stride, padding=padding, dilation=dilation)
    x = script.tensor("x", (*script.integers(1, 3, 2), *sizes), grad=True)
    options = f"kernel_size={kernel}, dilation={dilation}, padding={padding}, stride={stride}"
    out = script.run("out", f"torch.nn.functional.unfold(x, {options})")
    assert_within(out, unfolded(x, windows), 0, what="blocks", because="elements are copied")
    columns = script.tensor("columns", out.shape)
    seen = script.run("image", f"torch.nn.functional.fold(columns, {sizes}, {options})")
    (gradient,) = script.run("gradient", "torch.autograd.grad(out, [x], columns)")
    expected, magnitude = folded(columns, sizes, windows), folded(abs(columns), sizes, windows)
    bound = gamma(int(np.prod(kernel)) + 1, rounding_unit(cell.dtype)) * magnitude
    for what, one in (("image", seen), ("gradient", gradient)):
        assert_within(one, expected, bound, what=what, because="a sum of as many as the kernel has elements")
