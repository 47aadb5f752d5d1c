"""Counter-examples to padding as a choice of source elements."""

import numpy as np
import torch
from hypothesis import assume

from torchclaims import claim
from torchclaims.reference.padding import pad, pad_backward
from torchclaims.search import search
from torchclaims.tolerance import assert_within, gamma, rounding_unit


def check(cell, script, mode, dims):
    sizes = script.sizes(dims, 2, 5, wide=dims < 3)
    lead = script.integers(0 if mode == "constant" else 1, 3, script.pick(1, 2))
    # At most what the mode can take from the input. pad-circular-cropped: nothing is cropped from a circle.
    most = {"reflect": -1, "circular": 0}.get(mode, 3)
    least = 0 if mode == "circular" else -1
    pairs = []
    for size in reversed(sizes):
        before, after = (script.integers(least, min(9, size + most))[0] for _ in range(2))
        pairs.append((before, after if size + before + after > 0 and size > 1 - min(0, before) else 0))
    paddings = [number for pair in pairs for number in pair]
    value = script.pick(0.0, -2.5, float("-inf")) if mode == "constant" else 0.0
    x = script.tensor("x", (*lead, *sizes), special=script.pick(False, True), grad=True)
    more = f", value={value}" if mode == "constant" else ""
    out = script.run("out", f"torch.nn.functional.pad(x, {paddings}, mode={mode!r}{more})")
    expected = pad(x, pairs, mode, value)
    assert_within(out, expected, 0, what="padded", because="copies are exact")
    grad = script.tensor("grad", out.shape)
    (gradient,) = script.run("gradient", "torch.autograd.grad(out, [x], grad)")
    wanted, magnitude, copies = (
        pad_backward(one, x.shape, pairs, mode) for one in (grad, abs(grad), np.ones(grad.shape))
    )
    most_copies = int(copies.max(initial=1))
    assume(most_copies < 100)  # more additions in bfloat16 leave no digit to compare
    bound = np.where(copies > 1, gamma(most_copies + 1, rounding_unit(cell.dtype)) * magnitude, 0.0)
    assert_within(gradient, wanted, bound, what="gradient", because="a sum over copies, added one by one")


@claim("pad-values", "pad-zero", "pad-circular", "pad-gradients")
@search
def test_pad(cell, script):
    (dims,) = script.integers(1, 3)
    check(cell, script, script.pick("constant", "reflect", "replicate", "circular"), dims)


@claim("pad-half-precision")
@search
def test_half_precision(cell, script):
    assert torch.finfo(cell.dtype).bits == 16
    (dims,) = script.integers(1, 3)
    check(cell, script, script.pick("constant", "reflect", "replicate", "circular"), dims)
