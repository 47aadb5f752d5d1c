"""Counter-examples to losses of how near inputs are to each other."""

from test_losses.common import REDUCTIONS
from torchclaims import claim
from torchclaims.reference import losses
from torchclaims.search import search


@claim("loss-margin-ranking", "loss-hinge-embedding")
@search
def test_hinges(cell, script):
    # subgradient-margin-loss: odd sixteenths against eighths, at which no hinge bends.
    shape, reduction = script.sizes(script.pick(1, 0, 2, 3), 0, 3), script.pick(*REDUCTIONS)
    margin = script.pick(0.0, 0.5, -0.25)
    script.tensor("a", shape, low=-3.9375, high=4.0625, step=1 / 8, grad=True)
    script.tensor("b", shape, step=1 / 8, grad=True)
    y = script.tensor("y", shape, low=-1.0, high=1.0, step=2.0)
    options = f"margin={margin}, reduction={reduction!r}"
    if script.pick(True, False):
        call = f"torch.nn.functional.margin_ranking_loss(a, b, y, {options})"
        script.agree(call, lambda a, b: losses.reduced(losses.margin_ranking(a, b, y, margin), reduction), ["a", "b"])
    else:
        call = f"torch.nn.functional.hinge_embedding_loss(a, y, {options})"
        script.agree(call, lambda a: losses.reduced(losses.hinge_embedding(a, y, margin), reduction), ["a"])


@claim("loss-triplet")
@search
def test_triplet(cell, script):
    shape, reduction = script.sizes(script.pick(2, 1, 3), 1, 4), script.pick(*REDUCTIONS)
    p = script.pick(2.0, 1.0, 3.0)
    # The anchor lies so far from the negative that the hinge is open, and no distance is near 0.
    script.tensor("anchor", shape, low=0.0, high=1.0, grad=True)
    script.tensor("positive", shape, low=6.0, high=8.0, grad=True)
    script.tensor("negative", shape, low=2.0, high=3.0, grad=True)

    def formula(*inputs):
        return losses.reduced(losses.triplet_margin(*inputs, 1.0, p, 1e-6, False), reduction)

    call = f"torch.nn.functional.triplet_margin_loss(anchor, positive, negative, p={p}, reduction={reduction!r})"
    script.agree(call, formula, ["anchor", "positive", "negative"], orders=8)
