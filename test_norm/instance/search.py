"""Counter-examples to instance normalisation's formula and its gradients."""

import torch

from test_norm.instance.test_instance import assert_gradients, assert_normalised
from torchclaims import claim
from torchclaims.search import DENSE, LAYOUTS, search


@claim("instance-formula", "instance-backward")
@search
def test_instance(cell, script):
    dims = script.pick(2, 1, 3)
    sizes = script.sizes(dims, 1, 4)
    sizes = sizes if max(sizes) > 1 else (2, *sizes[1:])
    batch, channels = script.integers(1, 3)[0], script.size(1, 4)
    eps, affine = script.pick(0.01, 1.0), script.pick(True, False)
    kept = torch.float64 if cell.dtype == torch.float64 else torch.float32
    module = script.module("module", f"InstanceNorm{dims}d({channels}, eps={eps}, affine={affine})", dtype=kept)
    script.tensor("x", (batch, channels, *sizes), grad=True)
    out = script.run("out", "module(x)")
    assert_normalised(cell, out, script.get("x"), module)
    # instance-backward-one-sample: gradients of one sample, or of one column, that count as channels last.
    script.tensor("grad", out.shape, layouts=DENSE if 1 in (batch, channels, *sizes) else tuple(LAYOUTS))
    script.run("backward", "out.backward(grad)")
    assert_gradients(cell, script.get("x"), script.get("grad"), module)
