"""Counter-examples to batch normalisation in training: its output and its running statistics."""

import torch

from test_bn.test_forward import assert_normalised
from test_bn.test_running import assert_running
from torchclaims import claim
from torchclaims.search import search


@claim("bn-train-formula", "bn-running-update", "bn-running-var-unbiased")
@search
def test_training(cell, script):
    dims = script.pick(2, 1, 3)
    sizes = script.sizes(dims, 1, 4)
    batch, channels = script.integers(2, 4)[0], script.size(1, 4)
    eps, momentum = script.pick(0.01, 1e-5, 1.0), script.pick(0.1, 0.5, 1.0)
    kept = torch.float64 if cell.dtype == torch.float64 else torch.float32
    module = script.module("module", f"BatchNorm{dims}d({channels}, eps={eps}, momentum={momentum})", dtype=kept)
    x = script.tensor("x", (batch, channels, *sizes))
    out = script.run("out", "module(x)")
    assert_normalised(cell, out, x, module)
    assert_running(cell, module, [x], momentum)
