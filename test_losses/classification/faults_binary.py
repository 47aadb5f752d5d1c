"""How binary cross entropy and the Kullback-Leibler divergence could be broken."""

import warnings

import torch
import torch.nn.functional as F

from test_losses.common import altered, called_with, reduced, regraded
from torchclaims import breaks


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
        return reduced(-(torch.xlogy(y, x) + torch.xlogy(1 - y, 1 - x)), reduction)

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
        return reduced(losses if weight is None else losses * weight, reduction)

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
        return reduced(-(p * y * s.log().clamp(min=-100) + (1 - y) * (1 - s).log().clamp(min=-100)), reduction)

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
        return reduced(losses, reduction)

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
