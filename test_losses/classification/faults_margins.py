"""How losses with margins could be broken."""

import torch
import torch.nn.functional as F
from torch import nn

from test_losses.common import altered, called_with, reduced, regraded
from torchclaims import breaks


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
        return reduced(F.softplus(-y * x), reduction)

    altered(patch, F, "soft_margin_loss", alter)
