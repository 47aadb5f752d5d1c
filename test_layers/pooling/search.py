"""Counter-examples to max and average pooling: windows of any geometry, special values, any layout."""

import numpy as np
import torch
from hypothesis import assume

from test_layers.pooling.test_average import bound_of
from torchclaims import claim
from torchclaims.reference.pooling import avg_pool, avg_pool_backward, max_pool, max_pool_backward
from torchclaims.reference.windows import Windows
from torchclaims.search import DENSE, LAYOUTS, search
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, rounding_unit, sum_bound

HALF = (torch.bfloat16, torch.float16)


def geometry(script, dims, dilated):
    """Arguments, and the sizes of an input in which at least one window fits."""
    kernel, stride = script.integers(1, 4, dims), script.integers(1, 4, dims)
    dilation = script.integers(1, 3, dims) if dilated else (1,) * dims
    padding = tuple(script.integers(0, k // 2)[0] for k in kernel)
    least = [max(1, d * (k - 1) + 1 - 2 * p) for d, k, p in zip(dilation, kernel, padding, strict=True)]
    sizes = [low + more for low, more in zip(least, script.sizes(dims, 0, 5, wide=dims < 3), strict=True)]
    more = {"stride": stride, "padding": padding, "ceil_mode": script.pick(False, True)}
    return (kernel, more | ({"dilation": dilation} if dilated else {})), tuple(sizes)


def arguments_of(kernel, more):
    return ", ".join(f"{key}={value}" for key, value in {"kernel_size": kernel, **more}.items())


def lead_of(script):
    """A batch and channels, or channels alone."""
    return (*script.integers(1, 3, script.pick(0, 1)), script.size(1, 3))


@claim("maxpool-values", "maxpool-nan", "maxpool-indices", "maxpool-gradients")
@search
def test_max(cell, script):
    (dims,) = script.integers(1, 3)
    (kernel, more), sizes = geometry(script, dims, dilated=True)
    windows = Windows.of(kernel, **more)
    lead = lead_of(script)
    # maxpool-3d-unbatched-layouts: an unbatched volume that counts as channels last is refused.
    layouts = DENSE if dims == 3 and len(lead) == 1 else tuple(LAYOUTS)
    x = script.tensor("x", (*lead, *sizes), special=script.pick(False, True), grad=True, layouts=layouts)
    expected = max_pool(x, windows)
    # maxpool-padding-alone: such a window's place may be beyond the input, and its gradient is written there.
    assume((expected.places >= 0).all())
    call = f"torch.nn.functional.max_pool{dims}d(x, {arguments_of(kernel, more)}, return_indices=True)"
    seen, indices = script.run("pooled", call)
    assert_within(seen, expected.values, 0, what="maxima", because="a maximum is not rounded")
    # Of equal elements any may be named, but one of the window.
    places = to_numpy(indices)
    named = np.take_along_axis(
        x.reshape(*x.shape[: x.ndim - dims], -1), places.reshape(*x.shape[: x.ndim - dims], -1), -1
    ).reshape(places.shape)
    same = (named == expected.values) | (np.isnan(named) & np.isnan(expected.values))
    numbers = windows.padded(np.arange(np.prod(sizes)).reshape(sizes), -1)
    within = np.any([numbers[tap] == places for _, tap in windows.taps(sizes)], 0)
    assert (same & within).all(), f"expected indices such as {expected.places.tolist()}, seen {places.tolist()}"

    grad = script.tensor("grad", places.shape, layouts=layouts)
    (gradient,) = script.run("gradient", "torch.autograd.grad(pooled[0], [x], grad)")
    wanted, magnitude, shared = (
        max_pool_backward(weights, places, sizes) for weights in (grad, abs(grad), np.ones(places.shape))
    )
    one_by_one = shared * rounding_unit(cell.dtype) * magnitude
    bound = np.where(shared > 1, sum_bound(cell, int(shared.max()), magnitude, wanted) + one_by_one, 0)
    assert_within(gradient, wanted, bound, what="gradient", because="a sum over windows with one maximum")


@claim("avgpool-values", "avgpool-gradients")
@search
def test_average(cell, script):
    # AvgPool3d is not implemented in half precision on the CPU.
    (dims,) = script.integers(1, 2 if cell.device.is_cpu and cell.dtype in HALF else 3)
    (kernel, more), sizes = geometry(script, dims, dilated=False)
    windows = Windows.of(kernel, **more)
    counting = {"count_include_pad": script.pick(True, False)}
    if dims > 1 and script.pick(False, True):
        counting["divisor_override"] = script.integers(1, 9)[0]
    if dims == 3:  # avgpool-3d-padded-input: volumes smaller than the kernel are refused, whatever the padding
        sizes = tuple(max(pair) for pair in zip(sizes, kernel, strict=True))
    x = script.tensor("x", (*lead_of(script), *sizes), grad=True)
    out = script.run("out", f"torch.nn.functional.avg_pool{dims}d(x, {arguments_of(kernel, more | counting)})")
    options = counting["count_include_pad"], counting.get("divisor_override")
    expected, magnitude = avg_pool(x, windows, *options), avg_pool(abs(x), windows, *options)
    terms = int(np.prod(kernel))
    bound = bound_of(cell, terms, magnitude, expected, 1)
    assert_within(out, expected, bound, what="means", because="a sum, rounded, and a division, rounded")
    grad = script.tensor("grad", out.shape)
    (gradient,) = script.run("gradient", "torch.autograd.grad(out, [x], grad)")
    wanted, magnitude = (avg_pool_backward(one, sizes, windows, *options) for one in (grad, abs(grad)))
    bound = bound_of(cell, terms, magnitude, wanted, 1 + terms)
    assert_within(gradient, wanted, bound, what="gradient", because="quotients, added one by one")
