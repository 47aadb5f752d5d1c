"""How the cross entropy of a linear transformation could be broken."""

import torch
import torch.nn.functional as F
from torch import nn

from test_losses.common import altered, called_with, regraded
from torchclaims import breaks


def called(patch, change):
    """``change(x, weight, y, options)`` alters the keywords or arguments of linear_cross_entropy."""
    called_with(patch, F, "linear_cross_entropy", lambda x, w, y, **k: change(x, w, y, k))


@breaks("loss-linear-cross-entropy", "loss-linear-cross-entropy-layer")
def bias_dropped(patch):
    """The bias does not take part."""
    called(patch, lambda x, w, y, k: ((x, w, y), {**k, "linear_bias": None}))


@breaks("loss-linear-cross-entropy")
def smoothing_dropped_for_probabilities(patch):
    """Labels are not smoothed where they are probabilities."""
    called(
        patch,
        lambda x, w, y, k: (
            (x, w, y),
            {**k, "label_smoothing": 0.0 if y.is_floating_point() else k["label_smoothing"]},
        ),
    )


@breaks("loss-linear-cross-entropy-chunks")
def last_chunk_lost(patch):
    """Rows that do not fill a chunk are left out of the gradient of the weight."""

    def change(x, w, y, k):
        options = k.get("options")
        size = getattr(options, "batch_chunk_size", None)
        if size and x.dim() == 2 and x.shape[0] % size:
            full = x.shape[0] // size * size
            x = torch.cat([x[:full], regraded(x[full:], 0.0)])
        return (x, w, y), k

    called(patch, change)


@breaks("loss-linear-cross-entropy-chunks")
def mean_of_chunk_means(patch):
    """The mean over chunks is wrong where targets are ignored: it counts them."""

    def alter(result, x, w, y, **k):
        chunked = k.get("options") is not None and not y.is_floating_point() and y.dim()
        return result * (y != -100).double().mean().to(result) if chunked and result.dim() == 0 else result

    altered(patch, F, "linear_cross_entropy", alter)


@breaks("loss-linear-cross-entropy-layer")
def dimensions_before_classes(patch):
    """The layer sees its rows as (*out_features, C)."""

    def change(x, w, y, k):
        if w.dim() > 2:
            classes, *more, features = w.shape
            w = w.reshape(*more, classes, features).movedim(-2, 0)
        return (x, w, y), k

    called(patch, change)


@breaks("loss-linear-cross-entropy-ignore-index")
def ignored_counts_in_the_mean(patch):
    """The mean is over all targets."""

    def alter(result, x, w, y, **k):
        index = k.get("ignore_index")
        return result if index is None else result * (y != index).double().mean().to(result)

    altered(patch, F, "linear_cross_entropy", alter)


@breaks("loss-linear-cross-entropy-one-backward")
def graph_always_retained(patch):
    """Buffers are always kept, so that a second backward gives gradients again."""

    def change(x, w, y, k):
        options = k.get("options")
        if options is not None:
            sizes = {"batch_chunk_size": options.batch_chunk_size, "chunking_method": options.chunking_method}
            k = {**k, "options": nn.LinearCrossEntropyOptions(**sizes, allow_retain_graph=True)}
        return (x, w, y), k

    called(patch, change)


@breaks("loss-linear-cross-entropy-retained")
def second_gradient_is_the_first(patch):
    """The gradient does not know the loss' own gradient: it is that of ones."""

    class Fixed(torch.autograd.Function):
        @staticmethod
        def forward(ctx, loss):
            return loss.clone()

        @staticmethod
        def backward(ctx, grad):
            return torch.ones_like(grad)

    altered(patch, F, "linear_cross_entropy", lambda result, *a, **k: Fixed.apply(result))


@breaks("loss-linear-cross-entropy-options-refused")
def options_not_looked_at(patch):
    """Options are taken as they are."""
    patch(nn.LinearCrossEntropyOptions, "__post_init__", lambda original: lambda self: None)


@breaks("loss-linear-cross-entropy-falls-back")
def falls_back_in_silence(patch):
    """The reference path is taken without a word."""
    called(patch, lambda x, w, y, k: ((x, w, y), {**k, "options": None}))
