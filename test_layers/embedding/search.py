"""Counter-examples to looking rows up, singly and in bags."""

import numpy as np
import torch

from test_layers.embedding.test_embedding import MODES, bags_of, reduce_bags
from torchclaims import claim
from torchclaims.search import search


@claim("embedding-lookup")
@search
def test_lookup(cell, script):
    rows, width = script.size(), script.size()
    script.tensor("weight", (rows, width), grad=True)
    dtype = script.pick(torch.int64, torch.int32)
    index = script.whole("index", script.sizes(script.pick(1, 0, 2, 3), 0, 4), 0, rows - 1, dtype=dtype)
    call = "torch.nn.functional.embedding(index, weight)"
    script.agree(call, lambda weight: weight[index.astype(np.int64)], ["weight"], orders=64)


@claim("embedding-bag", "embedding-bag-empty")
@search
def test_bags(cell, script):
    rows, width = script.size(1, 6), script.size()
    mode = script.pick(*MODES)
    # Rows of which no two are equal: which one of equal maxima takes the gradient is open.
    script.tensor("weight", (rows, width), low=0.0, high=1.0, layouts=("contiguous",))
    distinct = f"2 * torch.arange({rows}, dtype=weight.dtype, device=weight.device)[:, None]"
    script.run("weight", f"(weight + {distinct}).requires_grad_()")
    dtype = script.pick(torch.int64, torch.int32)
    index = script.whole("index", (script.size(0, 6),), 0, rows - 1, dtype=dtype).tolist()
    inner = sorted(script.integers(0, len(index), script.integers(0, 4)[0]))
    offsets = [0, *inner]
    script.run("offsets", f"torch.tensor({offsets}, dtype={dtype}, device=index.device)")
    call = f"torch.nn.functional.embedding_bag(index, weight, offsets, mode={mode!r})"
    script.agree(call, lambda weight: reduce_bags(weight, bags_of(index, offsets), mode), ["weight"], orders=64)
