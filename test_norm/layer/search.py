"""Counter-examples to layer normalisation's formula and its gradients."""

from test_norm.layer.test_layer import assert_gradients, assert_normalised
from torchclaims import claim
from torchclaims.search import search


@claim("layer-formula", "layer-backward")
@search
def test_layer(cell, script):
    # layer-backward-many-rows: few of them.
    shape, lead = script.sizes(script.pick(1, 2, 3), 1, 4), script.integers(1, 3, script.pick(1, 0, 2))
    eps, affine = script.pick(0.01, 1e-5, 1.0), script.pick(True, False)
    module = script.module("module", f"LayerNorm({shape}, eps={eps}, elementwise_affine={affine})")
    script.tensor("x", (*lead, *shape), grad=True)
    out = script.run("out", "module(x)")
    x = script.get("x")
    assert_normalised(cell, out, x, module)
    script.tensor("grad", out.shape)
    script.run("backward", "out.backward(grad)")
    assert_gradients(cell, x, script.get("grad"), module)
