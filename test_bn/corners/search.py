"""Counter-examples to the gradients of batch normalisation in training."""

from test_bn.corners.test_backward import assert_gradients
from torchclaims import claim
from torchclaims.search import DENSE, LAYOUTS, search


@claim("bn-backward-with-weight")
@search
def test_gradients(cell, script):
    dims = script.pick(2, 1, 3)
    shape = (script.integers(1, 4)[0], script.size(1, 4), *script.sizes(dims, 2, 4))
    module = script.module("module", f"BatchNorm{dims}d({shape[1]}, eps={script.pick(0.01, 1.0)})")
    script.tensor("x", shape, grad=True)
    # bn-backward-one-sample: gradients of one sample, or of one channel, that count as channels last.
    script.tensor("grad", shape, layouts=DENSE if 1 in shape else tuple(LAYOUTS))
    script.run("out", "module(x)")
    script.run("backward", "out.backward(grad)")
    assert_gradients(cell, script.get("x"), script.get("grad"), module)
