"""Counter-examples to unpooling: values put anywhere in a plane."""

import numpy as np
from hypothesis import strategies as st

from test_layers.unpooling.test_unpool import size_of
from torchclaims import claim
from torchclaims.reference.pooling import max_unpool
from torchclaims.search import search
from torchclaims.tolerance import assert_within


@claim("unpool-values", "unpool-gradients")
@search
def test_unpool(cell, script):
    (dims,) = script.integers(1, 3)
    sizes, kernel = script.sizes(dims, 1, 3, wide=dims < 3), script.integers(1, 3, dims)
    stride = tuple(k + script.integers(0, 1)[0] for k in kernel)
    plane = size_of(sizes, kernel, stride, (0,) * dims)
    lead = script.integers(1, 3, script.pick(1, 2))
    count, room = int(np.prod(sizes)), int(np.prod(plane))
    # Different places, a constant distance apart that has no divisor in common with the plane's size.
    apart = script.pick(*[step for step in (1, 2, 3, 5, 7, 11) if np.gcd(step, room) == 1])
    start = script.draw(st.integers(0, room - 1))
    rows = f"torch.arange({int(np.prod(lead)) * count}).reshape({(*lead, *sizes)})"
    script.run("indices", f"({rows} % {count} * {apart} + {start}) % {room}")
    places = script.values("indices")
    x = script.tensor("x", (*lead, *sizes), special=script.pick(False, True), grad=True)
    call = f"torch.nn.functional.max_unpool{dims}d(x, indices, {kernel}, {stride})"
    out = script.run("out", call)
    assert_within(out, max_unpool(x, places, plane), 0, what="out", because="values are only moved")
    grad = script.tensor("grad", out.shape)
    (gradient,) = script.run("gradient", "torch.autograd.grad(out, [x], grad)")
    flat = np.take_along_axis(grad.reshape(*lead, room), places.reshape(*lead, count), -1)
    assert_within(gradient, flat.reshape(x.shape), 0, what="gradient", because="values are only moved")
