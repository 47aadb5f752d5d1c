"""How ranking losses could be broken."""

import torch
import torch.nn.functional as F
from torch import nn

from test_losses.common import altered, called_with, reduced, regraded, with_option
from torchclaims import breaks


@breaks("loss-margin-ranking")
def margin_subtracted(patch):
    """MarginRankingLoss' margin is subtracted."""
    with_option(patch, nn.MarginRankingLoss, margin=lambda margin: -margin)


@breaks("loss-margin-ranking")
def second_input_gets_no_gradient(patch):
    """MarginRankingLoss sends the second input no gradient."""
    called_with(patch, F, "margin_ranking_loss", lambda a, b, y, **k: ((a, b.detach() + 0 * b, y), k))


@breaks("loss-margin-ranking-errors")
def ranking_broadcasts(patch):
    """MarginRankingLoss takes what broadcasts."""

    def alter(a, b, y, **k):
        flat = [x.reshape(-1) for x in (a, b, y)]
        return flat, k

    called_with(patch, F, "margin_ranking_loss", alter)


@breaks("loss-hinge-embedding")
def hinge_on_both_labels(patch):
    """HingeEmbeddingLoss cuts off what is negative for y = 1, too."""

    def alter(result, x, y, *, margin, reduction):
        return reduced(torch.where(y == 1, x.clamp(min=0), (margin - x).clamp(min=0)), reduction)

    altered(patch, F, "hinge_embedding_loss", alter)


@breaks("loss-hinge-embedding")
def hinge_margin_one(patch):
    """HingeEmbeddingLoss' margin is 1 whatever was asked for."""
    with_option(patch, nn.HingeEmbeddingLoss, margin=1.0)


@breaks("loss-cosine-embedding")
def cosine_margin_ignored(patch):
    """CosineEmbeddingLoss' margin is ignored."""
    with_option(patch, nn.CosineEmbeddingLoss, margin=0.0)


@breaks("loss-cosine-embedding")
def dissimilar_not_cut(patch):
    """CosineEmbeddingLoss of y = -1 is not cut off at 0."""

    def alter(result, a, b, y, *, margin, reduction):
        cos = F.cosine_similarity(a, b, -1)
        return reduced(torch.where(y == 1, 1 - cos, cos - margin), reduction)

    altered(patch, F, "cosine_embedding_loss", alter)


@breaks("loss-cosine-embedding")
def gradient_without_the_norms(patch):
    """The gradient of CosineEmbeddingLoss takes the norms for constants."""

    def alter(result, a, b, y, *, margin, reduction):
        cos = (a * b).sum(-1) / (a.detach().norm(dim=-1) * b.detach().norm(dim=-1))
        return reduced(torch.where(y == 1, 1 - cos, (cos - margin).clamp(min=0)), reduction)

    altered(patch, F, "cosine_embedding_loss", alter)


@breaks("loss-cosine-embedding-errors")
def labels_flattened(patch):
    """CosineEmbeddingLoss flattens labels and repeats what is missing."""

    def change(a, b, y, **k):
        y = y.reshape(-1).expand(3) if y.dim() != 1 or a.dim() == 1 else y
        return (a.expand(3, 2), b.expand(3, 2), y), k

    called_with(patch, F, "cosine_embedding_loss", change)


@breaks("loss-triplet")
def triplet_eps_ignored(patch):
    """TripletMarginLoss' eps is always 1e-6."""
    with_option(patch, nn.TripletMarginLoss, eps=1e-6)


@breaks("loss-triplet")
def triplet_norm_two(patch):
    """TripletMarginLoss' norm is always the 2-norm."""
    with_option(patch, nn.TripletMarginLoss, p=2.0)


@breaks("loss-triplet")
def anchor_gradient_halved(patch):
    """The anchor of TripletMarginLoss receives half its gradient."""
    called_with(patch, F, "triplet_margin_loss", lambda a, near, far, **k: ((regraded(a, 0.5), near, far), k))


@breaks("loss-triplet", "loss-triplet-swap")
def margin_always_one(patch):
    """TripletMarginLoss' margin is always 1, and swap is ignored."""
    with_option(patch, nn.TripletMarginLoss, margin=1.0, swap=False)


@breaks("loss-triplet-swap")
def swap_takes_the_larger(patch):
    """With swap the larger distance counts."""

    def alter(result, a, p, n, *, distance_function, margin, swap, reduction):
        far = torch.maximum(distance_function(a, n), distance_function(p, n))
        near = distance_function(a, n)
        return reduced((distance_function(a, p) - (far if swap else near) + margin).clamp(min=0), reduction)

    altered(patch, F, "triplet_margin_with_distance_loss", alter)


@breaks("loss-triplet-errors")
def any_margin_taken(patch):
    """TripletMarginLoss takes any margin."""

    def make(original):
        def init(self, margin=1.0, *args, **kwargs):
            original(self, max(margin, 1e-6), *args, **kwargs)

        return init

    patch(nn.TripletMarginLoss, "__init__", make)


@breaks("loss-triplet-errors")
def triplet_broadcasts(patch):
    """TripletMarginLoss broadcasts its inputs."""
    called_with(patch, F, "triplet_margin_loss", lambda *inputs, **k: (torch.broadcast_tensors(*inputs), k))


@breaks("loss-triplet-distance")
def distance_function_ignored(patch):
    """TripletMarginWithDistanceLoss uses PairwiseDistance whatever was given."""
    with_option(patch, nn.TripletMarginWithDistanceLoss, distance_function=lambda _: nn.PairwiseDistance())


@breaks("loss-triplet-distance")
def negative_not_differentiated(patch):
    """The negative receives no gradient."""
    called_with(patch, F, "triplet_margin_with_distance_loss", lambda a, p, n, **k: ((a, p, n.detach() + 0 * n), k))


@breaks("loss-triplet-distance-zero-margin")
def zero_margin_taken(patch):
    """Mended: a margin of 0 is taken."""

    def make(original):
        def init(self, *, margin=1.0, **kwargs):
            original(self, margin=margin or 1e-30, **kwargs)

        return init

    patch(nn.TripletMarginWithDistanceLoss, "__init__", make)


@breaks("loss-ctc", "loss-ctc-mean", "loss-ctc-gradient-of-logits")
def blank_is_always_zero(patch):
    """CTCLoss' blank is always 0."""
    with_option(patch, nn.CTCLoss, blank=0)


@breaks("loss-ctc", "loss-ctc-mean")
def repeats_merge_without_blank(patch):
    """CTCLoss merges repeated labels of the target."""

    def change(x, y, lengths, sizes, *rest):
        if y.dim() == 2 and y.shape[1] == 2 and bool((y[:, 0] == y[:, 1]).all()):
            sizes = torch.ones_like(torch.as_tensor(sizes))
        return (x, y, lengths, sizes, *rest), {}

    called_with(patch, F, "ctc_loss", change)


@breaks("loss-ctc")
def unbatched_loss_keeps_the_batch(patch):
    """The loss of unbatched input has a batch of one."""
    altered(patch, F, "ctc_loss", lambda r, x, *a: r.reshape(1) if x.dim() == 2 else r)


@breaks("loss-ctc-mean")
def mean_not_over_lengths(patch):
    """CTCLoss' mean is the mean of the losses."""

    def make(original):
        def ctc_loss(x, y, lengths, sizes, blank, reduction, zero):
            if reduction == "mean":
                return original(x, y, lengths, sizes, blank, "none", zero).mean()
            return original(x, y, lengths, sizes, blank, reduction, zero)

        return ctc_loss

    patch(F, "ctc_loss", make)


@breaks("loss-ctc-gradient-of-logits")
def frames_after_the_first_weigh_less(patch):
    """All frames but the first receive nine tenths of their gradient."""

    def change(x, *rest):
        return (torch.cat([x[:1], regraded(x[1:], 0.9)]), *rest), {}

    called_with(patch, F, "ctc_loss", change)


@breaks("loss-ctc-gradient")
def ctc_gradient_of_the_loss(patch):
    """Mended: log_probs receives the gradient of the loss, without exp(log_probs)."""

    def alter(result, x, *rest):
        surplus = (x * x.detach().exp()).sum()
        return result - surplus + surplus.detach()

    altered(patch, F, "ctc_loss", alter)


@breaks("loss-ctc-lengths")
def input_lengths_ignored(patch):
    """CTCLoss takes all frames, whatever input_lengths says."""

    def change(x, y, lengths, *rest):
        return (x, y, torch.full_like(torch.as_tensor(lengths), len(x)), *rest), {}

    called_with(patch, F, "ctc_loss", change)


@breaks("loss-ctc-lengths")
def frames_beyond_get_a_gradient(patch):
    """Frames beyond the input's length receive a gradient."""

    def alter(result, x, y, lengths, *rest):
        extra = x[int(min(lengths)) :, 0, 0].sum()
        return result + extra - extra.detach()

    altered(patch, F, "ctc_loss", alter)


@breaks("loss-ctc-infinity")
def infinite_loss_is_large(patch):
    """A loss that is infinite becomes 1e4."""
    altered(patch, F, "ctc_loss", lambda r, *a: r.nan_to_num(posinf=1e4))


@breaks("loss-ctc-infinity")
def zero_infinity_ignored(patch):
    """zero_infinity is ignored."""
    with_option(patch, nn.CTCLoss, zero_infinity=False)


@breaks("loss-ctc-infinity")
def zero_infinity_keeps_the_gradient(patch):
    """zero_infinity zeroes the loss, but leaves a gradient at the first frame."""

    def alter(result, x, y, lengths, sizes, blank, reduction, zero):
        extra = x[0].sum() if zero else 0 * x.sum()
        return result + extra - extra.detach()

    altered(patch, F, "ctc_loss", alter)


@breaks("loss-ctc-errors")
def lengths_clamped(patch):
    """Lengths that are too long are cut."""

    def change(x, y, lengths, sizes, *rest):
        lengths = lengths.clamp(max=len(x))
        sizes = sizes.clamp(max=y.shape[1]) if y.dim() == 2 else sizes
        return (x, y, lengths, sizes, *rest), {}

    called_with(patch, F, "ctc_loss", change)


@breaks("loss-ctc-errors")
def labels_left_over(patch):
    """Concatenated targets may have labels left over, and missing ones are 1."""

    def change(x, y, lengths, sizes, *rest):
        if y.dim() == 1:
            y = torch.cat([y, y.new_ones(9)])[: int(sizes.sum())]
        return (x, y, lengths, sizes, *rest), {}

    called_with(patch, F, "ctc_loss", change)
