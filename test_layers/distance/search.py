"""Counter-examples to distances and similarities."""

from test_layers.distance.test_distance import pairs
from torchclaims import claim
from torchclaims.reference import losses
from torchclaims.search import search


@claim("distance-cosine")
@search
def test_cosine(cell, script):
    # distance-cosine-eps: norms are far above eps.
    shape = script.sizes(script.pick(2, 1, 3), 1, 4)
    axis = script.integers(0, len(shape) - 1)[0]
    script.tensor("a", shape, low=0.5, high=4.5, grad=True)
    script.tensor("b", shape, low=-2.5, high=-0.5, grad=True)
    call = f"torch.nn.functional.cosine_similarity(a, b, {axis})"
    script.agree(call, lambda a, b: losses.cosine(a, b, 1e-8, axis), ["a", "b"], orders=8)


@claim("distance-pairwise")
@search
def test_pairwise(cell, script):
    shape = script.sizes(script.pick(2, 1), 1, 4)
    script.tensor("a", shape, low=0.5, high=4.5, grad=True)
    script.tensor("b", shape, low=-2.5, high=-0.5, grad=True)
    keep = script.pick(False, True)
    call = f"torch.nn.functional.pairwise_distance(a, b, keepdim={keep})"
    script.agree(call, lambda a, b: losses.pairwise_distance(a, b, 2.0, 1e-6, keep), ["a", "b"])


@claim("distance-pdist")
@search
def test_pdist(cell, script):
    rows, columns = script.integers(2, 9)[0], script.size()
    # Of equal differences the infinity norm may pass its gradient to either.
    p = script.pick(2.0, 1.0, 3.0, 1.5)
    script.tensor("x", (rows, columns), low=0.0, high=1.0, grad=False)
    # No two rows are near: their first elements are whole numbers apart.
    script.run("x", f"(x + 2 * torch.arange({rows}, dtype=x.dtype, device=x.device)[:, None]).requires_grad_()")
    script.agree(f"torch.nn.functional.pdist(x, {p})", lambda x: pairs(x, p), ["x"], orders=16)
