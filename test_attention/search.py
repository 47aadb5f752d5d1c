"""Counter-examples to scaled dot-product attention."""

import numpy as np
import torch

from test_attention.common import ORDERS
from torchclaims import claim
from torchclaims.reference import attention
from torchclaims.search import search


@claim("attention-formula", "attention-mask", "attention-causal")
@search
def test_attention(cell, script):
    lead = script.integers(1, 3, script.pick(2, 0, 1, 3))
    queries, keys, width = script.size(1, 5), script.size(1, 5), script.size(1, 5)
    # Fused kernels take values as wide as the queries.
    out = width if script.pick(True, False) else script.integers(1, 5)[0]
    for name, shape in {"q": (queries, width), "k": (keys, width), "v": (keys, out)}.items():
        script.tensor(name, (*lead, *shape), low=-2.0, high=2.0, grad=True)
    kind = script.pick("none", "boolean", "added", "causal")
    mask, given = None, ""
    if kind == "causal":
        mask, given = attention.causal(queries, keys), ", is_causal=True"
    elif kind == "boolean":
        mask = script.whole("mask", (queries, keys), 0, 1, dtype=torch.bool, layouts=("contiguous", "transposed"))
        # attention-fully-masked: each query has a key.
        script.run("mask", f"mask | (torch.arange({keys}, device=mask.device) == 0)")
        mask, given = attention.additive(script.values("mask"), True), ", mask"
    elif kind == "added":
        mask, given = script.tensor("mask", (queries, keys)), ", mask"
    assert mask is None or np.ndim(mask) == 2

    def formula(q, k, v):
        return attention.attend(q, k, v, mask)[0]

    call = f"torch.nn.functional.scaled_dot_product_attention(q, k, v{given})"
    script.agree(call, formula, ["q", "k", "v"], orders=ORDERS)
