"""How negative log likelihood and cross entropy could be broken."""

import torch
import torch.nn.functional as F

from test_losses.common import altered, called_with
from torchclaims import breaks


@breaks("loss-nll")
def nll_mean_over_samples(patch):
    """NLLLoss' mean is over the samples, not over their weights."""

    def alter(result, x, y, *, weight, reduction, **_):
        return result * weight[y].sum() / y.numel() if weight is not None and reduction == "mean" else result

    altered(patch, F, "nll_loss", alter)


@breaks("loss-nll-layouts")
def nll_reads_memory_in_order(patch):
    """NLLLoss reads its input as it lies in memory."""

    def change(x, y, **k):
        scattered = x.dim() > 1 and not x.is_contiguous() and 0 not in x.stride()
        return (x.as_strided(x.shape, torch.empty_like(x, memory_format=torch.contiguous_format).stride()), y) if (
            scattered
        ) else (x, y), k

    called_with(patch, F, "nll_loss", change)


@breaks("loss-nll")
def nll_keeps_the_sign(patch):
    """NLLLoss of unbatched input is not negated."""
    altered(patch, F, "nll_loss", lambda r, x, *a, **k: -r if x.dim() == 1 else r)


@breaks("loss-nll")
def nll_class_axis_last(patch):
    """NLLLoss of images with square sides has its classes last."""
    called_with(
        patch, F, "nll_loss", lambda x, y, **k: ((x.transpose(1, -1) if x.shape[1] == x.shape[-1] else x, y), k)
    )


@breaks("loss-nll-ignore-index")
def ignored_targets_count_in_the_mean(patch):
    """NLLLoss divides its mean by all targets, ignored ones included."""

    def alter(result, x, y, *, reduction, ignore_index, weight, **_):
        if reduction != "mean" or weight is not None or not (y == ignore_index).any():
            return result
        return result * (y != ignore_index).sum() / y.numel()

    altered(patch, F, "nll_loss", alter)


@breaks("loss-nll-ignore-index")
def default_ignore_index_lost(patch):
    """The default ignore_index counts as class 0."""

    def change(x, y, *, ignore_index, **k):
        y = torch.where(y == -100, torch.zeros_like(y), y) if ignore_index == -100 else y
        return (x, y), {"ignore_index": ignore_index, **k}

    called_with(patch, F, "nll_loss", change)


@breaks("loss-nll-ignore-index")
def ignored_targets_get_a_gradient(patch):
    """An ignored target sends a gradient to class 0."""

    def alter(result, x, y, *, reduction, ignore_index, **_):
        if reduction != "sum" or x.dim() < 3:
            return result
        extra = (x.select(1, 0) * (y == ignore_index)).sum()
        return result + extra - extra.detach()

    altered(patch, F, "nll_loss", alter)


@breaks("loss-nll-errors", "loss-cross-entropy-errors")
def classes_clamped(patch):
    """A class out of range counts as the nearest one."""

    def change(x, y, **k):
        if not y.is_floating_point() and y.numel() and y.shape != x.shape:
            y = torch.where(y == k["ignore_index"], y, y.clamp(0, x.shape[min(1, x.dim() - 1)] - 1))
        return (x, y), k

    called_with(patch, F, "nll_loss", change)
    called_with(patch, F, "cross_entropy", change)


@breaks("loss-nll-errors")
def short_weight_padded(patch):
    """A weight that is too short is filled with ones."""

    def change(x, y, *, weight, **k):
        classes = x.shape[min(1, x.dim() - 1)]
        if weight is not None and len(weight) < classes:
            weight = torch.cat([weight, weight.new_ones(classes - len(weight))])
        return (x, y), {"weight": weight, **k}

    called_with(patch, F, "nll_loss", change)


@breaks("loss-cross-entropy")
def cross_entropy_mean_over_samples(patch):
    """CrossEntropyLoss' mean is over the samples, not over their weights."""

    def alter(result, x, y, *, weight, reduction, **_):
        if weight is None or reduction != "mean" or y.is_floating_point():
            return result
        return result * weight[y].sum() / y.numel()

    altered(patch, F, "cross_entropy", alter)


@breaks("loss-cross-entropy")
def cross_entropy_gradient_lacks_the_class(patch):
    """The gradient is the softmax, without minus one at the class."""

    def alter(result, x, y, *, weight, reduction, **_):
        if y.is_floating_point() or reduction != "none" or x.dim() != 2 or weight is not None or not len(x):
            return result
        own = x.gather(1, y[:, None])[:, 0]
        return result + own - own.detach()

    altered(patch, F, "cross_entropy", alter)


@breaks("loss-cross-entropy", "loss-cross-entropy-extreme")
def softmax_without_taking_off_the_maximum(patch):
    """The logarithm is of a softmax that may be 0."""

    def alter(result, x, y, *, weight, ignore_index, reduction, label_smoothing):
        if y.is_floating_point() or label_smoothing:
            return result
        axis = min(1, x.dim() - 1)
        return F.nll_loss(x.softmax(axis).clamp(min=1e-3).log(), y, weight, None, ignore_index, None, reduction)

    altered(patch, F, "cross_entropy", alter)


@breaks("loss-cross-entropy-extreme")
def impossible_class_is_cheap(patch):
    """A class with logit -inf costs 100."""
    altered(patch, F, "cross_entropy", lambda r, *a, **k: r.nan_to_num(posinf=100.0))


@breaks("loss-cross-entropy-soft")
def soft_mean_over_weights(patch):
    """With probabilities the mean is over the classes' weights."""

    def alter(result, x, y, *, weight, reduction, **_):
        return (
            result / weight.mean() if weight is not None and reduction == "mean" and y.is_floating_point() else result
        )

    altered(patch, F, "cross_entropy", alter)


@breaks("loss-cross-entropy-soft")
def probabilities_get_no_gradient(patch):
    """The target receives no gradient."""
    called_with(
        patch,
        F,
        "cross_entropy",
        lambda x, y, **k: ((x, y.detach() + 0 * y if y.is_floating_point() else y), k),
    )


@breaks("loss-cross-entropy-smoothing")
def smoothing_spares_the_target(patch):
    """What smoothing takes from the target goes to the other classes alone."""

    def change(x, y, *, label_smoothing, **k):
        classes = x.shape[min(1, x.dim() - 1)]
        other = label_smoothing * classes / max(classes - 1, 1)
        return (x, y), {"label_smoothing": min(other, 1.0), **k}

    called_with(patch, F, "cross_entropy", change)


@breaks("loss-cross-entropy-smoothing")
def smoothing_of_probabilities_ignored(patch):
    """label_smoothing is ignored where the target holds probabilities."""

    def change(x, y, *, label_smoothing, **k):
        return (x, y), {"label_smoothing": 0.0 if y.is_floating_point() else label_smoothing, **k}

    called_with(patch, F, "cross_entropy", change)


@breaks("loss-cross-entropy-unvalidated")
def probabilities_clamped(patch):
    """Probabilities are clamped to [0, 1]."""
    called_with(patch, F, "cross_entropy", lambda x, y, **k: ((x, y.clamp(0, 1) if y.is_floating_point() else y), k))


@breaks("loss-cross-entropy-unvalidated")
def probabilities_warn(patch):
    """Probabilities that do not sum to 1 are warned of, and normalised."""

    def change(x, y, **k):
        if y.is_floating_point() and not torch.allclose(y.sum(1), torch.ones(1, dtype=y.dtype)):
            y = y / y.sum(1, keepdim=True)
        return (x, y), k

    called_with(patch, F, "cross_entropy", change)


@breaks("loss-cross-entropy-long")
def only_long_indices(patch):
    """Mended: indices of another dtype than long are refused, but with int32 made long."""

    def change(x, y, **k):
        if y.dtype == torch.uint8:
            raise RuntimeError("expected scalar type Long but found Byte")
        return (x, y.long() if y.dtype == torch.int32 else y), k

    called_with(patch, F, "cross_entropy", change)


@breaks("loss-cross-entropy-errors")
def options_forgiven(patch):
    """Options and integer probabilities are brought into range without a word."""

    def change(x, y, *, ignore_index, label_smoothing, **k):
        if y.shape == x.shape:
            y, ignore_index = y.to(x.dtype), -100
        return (x, y), {"ignore_index": ignore_index, "label_smoothing": min(label_smoothing, 1.0), **k}

    called_with(patch, F, "cross_entropy", change)
