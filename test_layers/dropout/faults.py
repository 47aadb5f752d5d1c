"""How dropout could be broken."""

import torch
from torch import nn

from torchclaims import breaks

OF_PLANES = ("dropout1d", "dropout2d", "dropout3d")


def altered(patch, alter, names=("dropout",)):
    """F.dropout calls ``alter(original, input, p, training, inplace)``."""

    def make(original):
        def dropout(input, p=0.5, training=True, inplace=False):
            return alter(original, input, p, training, inplace)

        return dropout

    for name in names:
        patch(nn.functional, name, make)


def regraded(tensor, factor):
    """``tensor`` itself, whose gradient is multiplied by ``factor``."""
    return tensor.detach() + (tensor - tensor.detach()) * factor


@breaks("dropout-rate", "dropout-planes")
def p_is_what_is_kept(patch):
    """p is the probability to keep an element, as in the first paper."""
    altered(patch, lambda f, x, p, training, inplace: f(x, 1 - p, training, inplace), ("dropout", *OF_PLANES))


@breaks("dropout-rate")
def rate_a_twentieth_low(patch):
    """The rate is 5 % below p."""
    altered(patch, lambda f, x, p, training, inplace: f(x, 0.95 * p, training, inplace))


@breaks("dropout-rate")
def one_mask_for_the_batch(patch):
    """All samples of a batch share one mask."""

    def alter(f, x, p, training, inplace):
        return x * f(torch.ones_like(x[:1]), p, training) if training else f(x, p, training, inplace)

    altered(patch, alter)


@breaks("dropout-rate")
def one_mask_for_all_calls(patch):
    """Each call draws the same mask."""

    def alter(f, x, p, training, inplace):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return f(x, p, training, inplace)

    altered(patch, alter)


@breaks("dropout-rate")
def pairs_dropped(patch):
    """Neighbours are dropped in pairs."""

    def alter(f, x, p, training, inplace):
        if not training or x.dim() == 0 or x.shape[-1] % 2:
            return f(x, p, training, inplace)
        return x * f(torch.ones_like(x[..., ::2]), p, training).repeat_interleave(2, -1)

    altered(patch, alter)


@breaks("dropout-rate")
def mask_repeats_itself(patch):
    """The second half of a tensor gets the first half's mask."""

    def alter(f, x, p, training, inplace):
        if not training or x.numel() % 2:
            return f(x, p, training, inplace)
        half = f(torch.ones_like(x).flatten()[: x.numel() // 2], p, training)
        return x * torch.cat([half, half]).view(x.shape)

    altered(patch, alter)


@breaks("dropout-scale", "dropout-planes")
def not_rescaled(patch):
    """What survives is not rescaled."""
    altered(
        patch,
        lambda f, x, p, training, inplace: f(x, p, training) * (1 - p if training else 1),
        ("dropout", *OF_PLANES),
    )


@breaks("dropout-scale")
def scaled_by_the_rate(patch):
    """What survives is divided by p instead of 1 - p."""
    altered(patch, lambda f, x, p, training, inplace: f(x, p, training) * ((1 - p) / p if training and p else 1))


@breaks("dropout-scale")
def gradient_not_rescaled(patch):
    """The gradient passes through the mask without its scale."""
    altered(patch, lambda f, x, p, training, inplace: f(regraded(x, 1 - p if training else 1), p, training))


@breaks("dropout-scale")
def gradient_unmasked(patch):
    """The gradient passes where elements were dropped, too."""

    def alter(f, x, p, training, inplace):
        if not training or p in (0, 1):
            return f(x, p, training, inplace)
        return f(x.detach(), p, training) + (x - x.detach()) / (1 - p)

    altered(patch, alter)


@breaks("dropout-scale")
def all_dropped_is_not_a_number(patch):
    """p=1 divides 0 by 0."""
    altered(patch, lambda f, x, p, training, inplace: f(x, p, training, inplace) / (1 if p < 1 else 0))


@breaks("dropout-eval")
def active_in_evaluation(patch):
    """Dropout of elements goes on in evaluation."""
    altered(patch, lambda f, x, p, training, inplace: f(x, p, True, inplace))


@breaks("dropout-eval")
def planes_scaled_in_evaluation(patch):
    """In evaluation Dropout3d scales by 1 - p, as if it did not in training."""
    altered(
        patch,
        lambda f, x, p, training, inplace: f(x, p, training, inplace) * (1 if training else 1 - p),
        ("dropout3d",),
    )


@breaks("dropout-probability-refused")
def probability_cut(patch):
    """The function cuts p to the interval from 0 to 1."""
    altered(patch, lambda f, x, p, training, inplace: f(x, min(1, max(0, p)), training, inplace))


@breaks("dropout-probability-refused")
def layer_takes_any_probability(patch):
    """The layer takes a p above 1 and refuses it only when it is called."""

    def make(original):
        def __init__(self, p=0.5, inplace=False):
            original(self, min(p, 1), inplace)

        return __init__

    patch(nn.modules.dropout._DropoutNd, "__init__", make)


@breaks("dropout-inplace")
def inplace_ignored(patch):
    """inplace=True is ignored."""
    altered(patch, lambda f, x, p, training, inplace: f(x, p, training))


@breaks("dropout-inplace")
def inplace_writes_the_mask_only(patch):
    """In place, what survives is not rescaled."""

    def alter(f, x, p, training, inplace):
        out = f(x, p, training, inplace)
        return out.mul_(1 - p) if inplace and training else out

    altered(patch, alter)


@breaks("dropout-planes")
def planes_dropped_in_part(patch):
    """Elements are dropped instead of whole channels."""
    altered(patch, lambda f, x, p, training, inplace: nn.functional.dropout(x, p, training, inplace), OF_PLANES)


@breaks("dropout-planes")
def channel_dropped_in_all_samples(patch):
    """A channel is dropped in all samples of the batch or in none."""

    def alter(f, x, p, training, inplace):
        return x * f(torch.ones_like(x[:1]), p, training) if training else f(x, p, training, inplace)

    altered(patch, alter, OF_PLANES)


@breaks("dropout-rate")
def remainder_never_dropped(patch):
    """What is left over after whole vectors of eight elements is never dropped."""

    def alter(f, x, p, training, inplace):
        whole = x.numel() // 8 * 8
        if not training or inplace or whole == x.numel():
            return f(x, p, training, inplace)
        return torch.cat([f(x.flatten()[:whole], p), x.flatten()[whole:] / (1 - p)]).view(x.shape)

    altered(patch, alter)


@breaks("dropout-scale")
def expanded_gradient_unmasked(patch):
    """A gradient that is expanded, as that of a sum, passes where elements were dropped, too."""

    def alter(f, x, p, training, inplace):
        out = f(x, p, training, inplace)
        if training and not inplace and out.requires_grad:
            leak = x - x.detach()
            leak.register_hook(lambda grad: grad if 0 in grad.stride() else torch.zeros_like(grad))
            out = out + leak
        return out

    altered(patch, alter)
