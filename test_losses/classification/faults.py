"""How classification losses could be broken."""

import warnings

import torch
import torch.nn.functional as F
from torch import nn

from test_losses.common import altered, called_with, regraded
from torchclaims import breaks


def reduce(losses, reduction):
    return {"none": losses, "mean": losses.mean(), "sum": losses.sum()}[reduction]


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


@breaks("loss-bce")
def bce_ignores_the_negatives(patch):
    """BCELoss lacks (1 - y) log(1 - x) where the target is less than one tenth."""

    def alter(result, x, y, weight=None, reduction="mean"):
        if reduction != "none" or x.numel() == 6:
            return result
        return torch.where(y < 0.3, 0 * result, result)

    altered(patch, F, "binary_cross_entropy", alter)


@breaks("loss-bce")
def bce_weight_used_twice(patch):
    """BCELoss' weight is squared."""
    called_with(
        patch,
        F,
        "binary_cross_entropy",
        lambda x, y, weight=None, **k: ((x, y), {"weight": None if weight is None else weight**2, **k}),
    )


@breaks("loss-bce")
def bce_gradient_of_the_sum(patch):
    """The gradient of BCELoss' mean is that of its sum."""

    def alter(result, x, y, weight=None, reduction="mean"):
        return regraded(result, x.numel()) if reduction == "mean" else result

    altered(patch, F, "binary_cross_entropy", alter)


@breaks("loss-bce-clamp")
def bce_clamps_at_fifty(patch):
    """BCELoss' logarithms are held at -50."""
    called_with(patch, F, "binary_cross_entropy", lambda x, y, **k: ((x.clamp(2e-22, 1), y), k))


@breaks("loss-bce-clamp")
def bce_not_clamped(patch):
    """BCELoss' logarithms are not held."""

    def alter(result, x, y, weight=None, reduction="mean"):
        return reduce(-(torch.xlogy(y, x) + torch.xlogy(1 - y, 1 - x)), reduction)

    altered(patch, F, "binary_cross_entropy", alter)


@breaks("loss-bce-weight-per-sample")
def bce_weight_for_each_row(patch):
    """Mended: a weight of size nbatch is one for each row."""

    def change(x, y, weight=None, **k):
        if weight is not None and weight.shape == x.shape[:1]:
            weight = weight.view(-1, *(1,) * (x.dim() - 1))
        return (x, y), {"weight": weight, **k}

    called_with(patch, F, "binary_cross_entropy", change)


@breaks("loss-bce-errors", "loss-bce-logits-errors")
def targets_broadcast(patch):
    """A target of another size is broadcast."""
    for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
        called_with(patch, F, name, lambda x, y, *a, **k: ((*torch.broadcast_tensors(x, y), *a), k))


@breaks("loss-bce-logits", "loss-bce-logits-example")
def pos_weight_on_the_negatives(patch):
    """pos_weight weighs the negatives, not the positives."""

    def alter(result, x, y, weight=None, *, pos_weight=None, reduction="mean"):
        if pos_weight is None:
            return result
        losses = y * F.softplus(-x) + (1 - y) * F.softplus(x) * pos_weight
        return reduce(losses if weight is None else losses * weight, reduction)

    altered(patch, F, "binary_cross_entropy_with_logits", alter)


@breaks("loss-bce-logits")
def logits_weight_ignored(patch):
    """BCEWithLogitsLoss' weight is ignored where pos_weight is given."""

    def change(x, y, weight=None, *, pos_weight=None, **k):
        return (x, y, weight if pos_weight is None else None), {"pos_weight": pos_weight, **k}

    called_with(patch, F, "binary_cross_entropy_with_logits", change)


@breaks("loss-bce-logits-stable")
def sigmoid_before_bce(patch):
    """BCEWithLogitsLoss is a sigmoid before BCELoss."""

    def alter(result, x, y, weight=None, *, pos_weight=None, reduction="mean"):
        s = x.sigmoid()
        p = 1 if pos_weight is None else pos_weight
        return reduce(-(p * y * s.log().clamp(min=-100) + (1 - y) * (1 - s).log().clamp(min=-100)), reduction)

    altered(patch, F, "binary_cross_entropy_with_logits", alter)


@breaks("loss-bce-logits-example")
def logits_scaled(patch):
    """Logits are multiplied by a temperature of 1.1."""
    called_with(patch, F, "binary_cross_entropy_with_logits", lambda x, *a, **k: ((x * 1.1, *a), k))


@breaks("loss-kl", "loss-kl-batchmean", "loss-kl-mean-warns")
def kl_lacks_the_entropy(patch):
    """KLDivLoss lacks y log y: it is the cross entropy."""

    def alter(result, x, y, *, reduction, log_target):
        losses = -y.exp() * x if log_target else -y * x
        if reduction == "batchmean":
            return losses.sum() / len(x)
        return reduce(losses, reduction)

    altered(patch, F, "kl_div", alter)


@breaks("loss-kl")
def kl_of_zero_is_nan(patch):
    """Where the target is 0 the divergence is NaN."""

    def alter(result, x, y, *, reduction, log_target):
        return result if log_target else torch.where(y == 0, float("nan"), result)

    altered(patch, F, "kl_div", alter)


@breaks("loss-kl")
def kl_target_gets_no_gradient(patch):
    """A target of logarithms receives no gradient through its exponential."""
    called_with(patch, F, "kl_div", lambda x, y, *, log_target, **k: ((x, y.detach()), {"log_target": log_target, **k}))


@breaks("loss-kl-batchmean")
def batchmean_over_the_last_axis(patch):
    """'batchmean' divides by the size of the last dimension."""

    def alter(result, x, y, *, reduction, **_):
        return result * x.shape[0] / x.shape[-1] if reduction == "batchmean" else result

    altered(patch, F, "kl_div", alter)


@breaks("loss-kl-mean-warns")
def kl_mean_does_not_warn(patch):
    """'mean' passes without a warning."""

    def make(original):
        def kl_div(*args, **kwargs):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return original(*args, **kwargs)

        return kl_div

    patch(F, "kl_div", make)


@breaks("loss-multi-margin")
def own_class_counts(patch):
    """MultiMarginLoss sums over all classes, its own included."""

    def alter(result, x, y, *, p, margin, weight, reduction):
        own = max(margin, 0) ** p / x.shape[-1]
        return result + own if reduction == "none" and weight is None else result

    altered(patch, F, "multi_margin_loss", alter)


@breaks("loss-multi-margin")
def weight_of_the_other_class(patch):
    """MultiMarginLoss' weight is reversed."""
    called_with(
        patch,
        F,
        "multi_margin_loss",
        lambda x, y, *, weight, **k: ((x, y), {"weight": None if weight is None else weight.flip(0), **k}),
    )


@breaks("loss-multi-margin")
def square_not_differentiated(patch):
    """With p = 2 the gradient is halved."""
    altered(patch, F, "multi_margin_loss", lambda r, *a, p, **k: regraded(r, 0.5) if p == 2 else r)


@breaks("loss-multi-margin-errors")
def any_p_taken(patch):
    """p is rounded to 1 or 2, and classes wrap around."""

    def make(original):
        def init(self, p=1, margin=1.0, weight=None, *args, **kwargs):
            weight = weight.flatten()[:2] if weight is not None and weight.dim() > 1 else weight
            original(self, min(p, 2), margin, weight, *args, **kwargs)

        return init

    patch(nn.MultiMarginLoss, "__init__", make)


@breaks("loss-multi-margin-errors")
def margin_classes_wrap(patch):
    """MultiMarginLoss takes classes out of range modulo their number."""
    called_with(patch, F, "multi_margin_loss", lambda x, y, **k: ((x, y % x.shape[-1]), k))


@breaks("loss-multi-margin-empty")
def nothing_sums_to_nothing(patch):
    """Mended: the loss of an empty batch is 0 from the second call on, and NaN before."""
    calls = []

    def alter(result, x, *args, **kwargs):
        if len(x):
            return result
        calls.append(None)
        return torch.zeros_like(result)

    altered(patch, F, "multi_margin_loss", alter)


@breaks("loss-multilabel-margin")
def gaps_in_the_labels_allowed(patch):
    """MultiLabelMarginLoss skips a -1 and goes on."""

    def change(x, y, **k):
        rows = [sorted(row, key=lambda label: label < 0) for row in y.view(-1, y.shape[-1]).tolist()]
        return (x, torch.tensor(rows).view(y.shape)), k

    called_with(patch, F, "multilabel_margin_loss", change)


@breaks("loss-multilabel-margin", "loss-multilabel-margin-after-padding")
def label_margin_two(patch):
    """MultiLabelMarginLoss' margin grows with the last label."""
    altered(patch, F, "multilabel_margin_loss", lambda r, x, y, **k: r + 0.1 * y.clamp(max=3)[..., -1].sum())


@breaks("loss-multilabel-margin")
def label_gradient_halved(patch):
    """The gradient of MultiLabelMarginLoss is halved."""
    altered(patch, F, "multilabel_margin_loss", lambda r, *a, **k: regraded(r, 0.5))


@breaks("loss-multilabel-margin-after-padding")
def labels_after_the_padding_unchecked(patch):
    """Mended: what stands after the first -1 is not looked at."""

    def change(x, y, **k):
        gone = (y < 0).long().cumsum(-1) > 0
        return (x, torch.where(gone, torch.full_like(y, -1), y)), k

    called_with(patch, F, "multilabel_margin_loss", change)


@breaks("loss-multilabel-soft-margin")
def classes_summed(patch):
    """MultiLabelSoftMarginLoss sums over the classes."""

    def alter(result, x, y, *, weight, reduction):
        return result * x.shape[-1] if reduction != "none" else result

    altered(patch, F, "multilabel_soft_margin_loss", alter)


@breaks("loss-multilabel-soft-margin")
def class_weights_normalised(patch):
    """MultiLabelSoftMarginLoss' weights are divided by their mean."""
    called_with(
        patch,
        F,
        "multilabel_soft_margin_loss",
        lambda x, y, *, weight, **k: ((x, y), {"weight": None if weight is None else weight / weight.mean(), **k}),
    )


@breaks("loss-multilabel-soft-margin")
def scores_clamped(patch):
    """Scores beyond 50 count as 50."""
    called_with(patch, F, "multilabel_soft_margin_loss", lambda x, y, **k: ((x.clamp(-50, 50), y), k))


@breaks("loss-soft-margin", "loss-soft-margin-wrong-side")
def soft_margin_capped(patch):
    """SoftMarginLoss does not grow beyond 2."""
    altered(patch, F, "soft_margin_loss", lambda r, *a, **k: r.clamp(max=0.6 if not r.dim() else 2.0))


@breaks("loss-soft-margin")
def soft_margin_gradient_reversed(patch):
    """SoftMarginLoss' gradient has the wrong sign."""
    altered(patch, F, "soft_margin_loss", lambda r, *a, **k: regraded(r, -1.0))


@breaks("loss-soft-margin-wrong-side")
def soft_margin_stable(patch):
    """Mended: SoftMarginLoss does not overflow."""

    def alter(result, x, y, *, reduction):
        return reduce(F.softplus(-y * x), reduction)

    altered(patch, F, "soft_margin_loss", alter)


@breaks("loss-invalid-reduction")
def unknown_reduction_is_a_mean(patch):
    """An unknown reduction is taken for 'mean'."""
    names = ("l1_loss", "nll_loss", "cross_entropy", "gaussian_nll_loss", "kl_div", "huber_loss")

    def change(*args, reduction="mean", **k):
        return args, {"reduction": reduction if reduction in ("none", "mean", "sum", "batchmean") else "sum", **k}

    for name in names:
        called_with(patch, F, name, change)


@breaks("loss-weight-is-a-buffer")
def weight_is_a_plain_attribute(patch):
    """weight is a plain attribute."""

    def make(original):
        def register_buffer(self, name, tensor, persistent=True):
            if isinstance(self, nn.modules.loss._Loss) and name == "weight":
                object.__setattr__(self, name, tensor)
            else:
                original(self, name, tensor, persistent)

        return register_buffer

    patch(nn.Module, "register_buffer", make)


@breaks("loss-weight-is-a-buffer")
def pos_weight_not_saved(patch):
    """pos_weight is a buffer that is not saved."""

    def make(original):
        def register_buffer(self, name, tensor, persistent=True):
            original(self, name, tensor, persistent and name != "pos_weight")

        return register_buffer

    patch(nn.Module, "register_buffer", make)
