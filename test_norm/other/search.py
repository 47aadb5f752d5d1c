"""Counter-examples to root mean square and local response normalisation, and to normalisation by a norm."""

from test_norm.other.test_normalize import POWERS
from test_norm.other.test_normalize import assert_normalised as assert_divided_by_norm
from test_norm.other.test_response import ARGUMENTS, assert_divided, assert_gradient, centred
from test_norm.other.test_rms import assert_normalised
from torchclaims import claim
from torchclaims.search import DENSE, LAYOUTS, search


@claim("rmsnorm-formula")
@search
def test_rms(cell, script):
    shape, lead = script.sizes(script.pick(1, 2, 3), 1, 4), script.integers(1, 3, script.pick(1, 0, 2))
    eps, affine = script.pick(0.01, 1e-5, 1.0), script.pick(True, False)
    module = script.module("module", f"RMSNorm({shape}, eps={eps}, elementwise_affine={affine})")
    script.tensor("x", (*lead, *shape))
    out = script.run("out", "module(x)")
    assert_normalised(cell, out, script.get("x"), shape, eps, module.weight)


@claim("lrn-formula", "lrn-backward", "lrn-any-layout")
@search
def test_local_response(cell, script):
    # lrn-even-size: odd windows. lrn-five-dimensions-transposed: volumes are laid out densely.
    size, dims = script.pick(3, 1, 5, 9), script.pick(1, 2, 3)
    shape = (script.integers(1, 3)[0], script.size(1, 6), *script.sizes(dims, 1, 4))
    script.tensor("x", shape, grad=True, layouts=DENSE if dims == 3 else tuple(LAYOUTS))
    options = ", ".join(f"{key}={value}" for key, value in ARGUMENTS.items())
    out = script.run("out", f"torch.nn.functional.local_response_norm(x, {size}, {options})")
    window = centred(shape[1], size)
    assert_divided(cell, out, script.get("x"), window, size, **ARGUMENTS)
    script.tensor("grad", shape)
    script.run("backward", "out.backward(grad)")
    assert_gradient(cell, script.get("x"), script.get("grad"), window, size, **ARGUMENTS)


@claim("normalize-formula")
@search
def test_normalize(cell, script):
    shape = script.sizes(script.pick(2, 1, 3), 1, 4)
    axis = script.integers(0, len(shape) - 1)[0]
    p, eps = script.pick(2.0, *POWERS[1:]), 0.25
    script.tensor("x", shape)
    power = str(p).replace("inf", "torch.inf")
    out = script.run("out", f"torch.nn.functional.normalize(x, {power}, {axis}, {eps})")
    assert_divided_by_norm(cell, out, script.get("x"), p, (axis,), eps)
