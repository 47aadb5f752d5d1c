"""How distances could be broken."""

import torch
import torch.nn.functional as F
from torch import nn

from test_losses.common import altered, called_with, regraded, with_option
from torchclaims import breaks


@breaks("distance-cosine")
def cosine_of_the_last_axis(patch):
    """CosineSimilarity is along the last axis of images, whatever dim says."""
    called_with(patch, F, "cosine_similarity", lambda a, b, dim, eps: ((a, b, -1 if dim == 0 else dim, eps), {}))


@breaks("distance-cosine")
def cosine_takes_norms_for_constants(patch):
    """The gradient of CosineSimilarity takes the norms for constants."""

    def alter(result, a, b, dim, eps):
        straight = (a * b).sum(dim) / (a.detach().norm(dim=dim) * b.detach().norm(dim=dim)).clamp(min=eps)
        return result.detach() + straight - straight.detach()

    altered(patch, F, "cosine_similarity", alter)


@breaks("distance-cosine", "distance-cosine-zero")
def cosine_of_a_shifted_vector(patch):
    """A thousandth is added to the first vector."""
    called_with(patch, F, "cosine_similarity", lambda a, b, dim, eps: ((a + 0.05, b, dim, eps), {}))


@breaks("distance-cosine-eps")
def cosine_eps_of_the_product(patch):
    """Mended: the product of the norms is held at eps."""

    def alter(result, a, b, dim, eps):
        return (a * b).sum(dim) / (a.norm(dim=dim) * b.norm(dim=dim)).clamp(min=eps)

    altered(patch, F, "cosine_similarity", alter)


@breaks("distance-cosine-zero")
def cosine_of_zero_is_nan(patch):
    """Without eps the cosine with a zero vector is NaN."""
    altered(
        patch, F, "cosine_similarity", lambda r, a, b, dim, eps: (a * b).sum(dim) / (a.norm(dim=dim) * b.norm(dim=dim))
    )


@breaks("distance-pairwise", "distance-pairwise-norms")
def eps_ignored(patch):
    """PairwiseDistance does not add eps."""
    called_with(patch, F, "pairwise_distance", lambda a, b, p, eps, keep: ((a, b, p, 0.0, keep), {}))


@breaks("distance-pairwise")
def second_vector_gets_no_gradient(patch):
    """The second vector receives no gradient."""
    called_with(patch, F, "pairwise_distance", lambda a, b, *rest: ((a, b.detach() + 0 * b, *rest), {}))


@breaks("distance-pairwise-norms")
def negative_p_is_positive(patch):
    """A negative p counts as its absolute value."""
    with_option(patch, nn.PairwiseDistance, norm=abs)


@breaks("distance-pairwise-norms")
def infinity_is_large(patch):
    """p = inf counts as 20."""
    with_option(patch, nn.PairwiseDistance, norm=lambda p: min(p, 20.0))


@breaks("distance-pairwise-keepdim")
def keepdim_at_the_front(patch):
    """The dimension that is kept stands first."""
    altered(patch, F, "pairwise_distance", lambda r, a, b, p, eps, keep: r.movedim(-1, 0) if keep else r)


@breaks("distance-pdist")
def pdist_column_by_column(patch):
    """F.pdist goes through the lower triangle."""

    def alter(result, x, *args):
        n = len(x)
        full = x.new_zeros(n, n)
        full[tuple(torch.triu_indices(n, n, 1))] = result
        return full.T[tuple(torch.tril_indices(n, n, -1))]

    altered(patch, F, "pdist", alter)


@breaks("distance-pdist")
def pdist_through_a_product(patch):
    """F.pdist of many rows expands the square, which cancels far from the origin."""

    def alter(result, x, p=2.0):
        if p != 2.0 or len(x) < 26:
            return result
        squares = (x * x).sum(1)
        every = (squares[:, None] + squares - 2 * x @ x.T).clamp(min=0).sqrt()
        return every[tuple(torch.triu_indices(len(x), len(x), 1))]

    altered(patch, F, "pdist", alter)


@breaks("distance-pdist")
def pdist_gradient_halved(patch):
    """F.pdist's gradient for p = 3 is halved."""
    altered(patch, F, "pdist", lambda r, x, p=2.0: regraded(r, 0.5) if p == 3 else r)


@breaks("distance-pdist-small")
def one_row_is_zero_from_itself(patch):
    """F.pdist of one row is its distance from itself, and that of rows without columns 1."""
    altered(patch, F, "pdist", lambda r, x, *a: r + 1 if not x.shape[1] else (r if len(r) else x.new_zeros(len(x))))


@breaks("distance-pdist-errors")
def pdist_forgives(patch):
    """F.pdist takes the absolute value of p and flattens its input."""
    called_with(patch, F, "pdist", lambda x, p=2.0: ((x.reshape(len(x), -1), abs(p)), {}))
