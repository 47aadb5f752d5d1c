"""How what test_kinds.py and test_alpha.py decide could be broken."""

import warnings

import torch
from torch import nn

from test_layers.dropout.faults import regraded
from torchclaims import breaks

F = nn.functional
KINDS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")


def altered(patch, alter, names=KINDS):
    """F.name calls ``alter(original, input, p, training, inplace)``."""
    for name in names:

        def make(original, name=name):
            def dropout(input, p=0.5, training="alpha" not in name, inplace=False):
                return alter(original, input, p, training, inplace)

            return dropout

        patch(F, name, make)


@breaks("dropout-defaults")
def default_of_a_tenth(patch):
    """A layer drops a tenth by default."""

    def make(original):
        def __init__(self, p=0.1, inplace=False):
            original(self, p, inplace)

        return __init__

    patch(nn.modules.dropout._DropoutNd, "__init__", make)


@breaks("dropout-defaults")
def alpha_dropout_drops_less_by_default(patch):
    """alpha_dropout drops a quarter by default."""

    def make(original):
        def alpha_dropout(input, p=0.25, training=False, inplace=False):
            return original(input, p, training, inplace)

        return alpha_dropout

    patch(F, "alpha_dropout", make)


@breaks("dropout-every-kind-refuses")
def two_is_taken(patch):
    """A p above 1 counts as 1 in evaluation, where it does not matter."""
    altered(patch, lambda f, x, p, training, inplace: f(x, p if training else min(p, 1), training, inplace))


@breaks("dropout-every-kind-refuses")
def slightly_negative_is_taken(patch):
    """Layers take a p that is negative by a rounding error."""

    def make(original):
        def __init__(self, p=0.5, inplace=False):
            original(self, max(p, 0) if p > -0.01 else p, inplace)

        return __init__

    patch(nn.modules.dropout._DropoutNd, "__init__", make)


@breaks("dropout-every-kind-refuses")
def one_leaves_a_tenth(patch):
    """alpha_dropout with p = 1 drops nine of ten."""
    altered(patch, lambda f, x, p, training, inplace: f(x, min(p, 0.9), training, inplace), ("alpha_dropout",))


@breaks("dropout-every-kind-in-place")
def planes_ignore_inplace(patch):
    """Dropout3d ignores inplace=True."""
    altered(patch, lambda f, x, p, training, inplace: f(x, p, training), ("dropout3d",))


@breaks("dropout-every-kind-in-place")
def in_place_keeps_the_batch(patch):
    """Without a batch, Dropout1d in place leaves its input with a batch of one."""

    def alter(f, x, p, training, inplace):
        out = f(x, p, training, inplace)
        return x.unsqueeze_(0) if inplace and x.dim() == 2 else out

    altered(patch, alter, ("dropout1d",))


@breaks("dropout-every-kind-in-place", "dropout-eval-every-kind")
def alpha_dropout_always_in_place(patch):
    """alpha_dropout works in place, and rounds its input in evaluation."""

    def alter(f, x, p, training, inplace):
        out = f(x, p, training, training)
        return out if training else out.mul_(1.001)

    altered(patch, alter, ("alpha_dropout",))


@breaks("dropout-eval-every-kind")
def mask_drawn_in_evaluation(patch):
    """In evaluation a mask is drawn and thrown away."""

    def alter(f, x, p, training, inplace):
        torch.empty(1).bernoulli_(0.5)
        return f(x, p, training, inplace)

    altered(patch, alter, ("dropout", "dropout2d"))


@breaks("dropout-eval-every-kind")
def containers_skip_dropout_in_evaluation(patch):
    """A Sequential skips dropout in evaluation."""

    def make(original):
        def forward(self, input):
            for module in self:
                skipped = not self.training and isinstance(module, nn.modules.dropout._DropoutNd)
                input = input if skipped else module(input)
            return input

        return forward

    patch(nn.Sequential, "forward", make)


@breaks("dropout-eval-every-kind")
def feature_alpha_dropout_goes_on(patch):
    """feature_alpha_dropout goes on in evaluation."""
    altered(patch, lambda f, x, p, training, inplace: f(x, p, True, inplace), ("feature_alpha_dropout",))


@breaks("dropout-unbatched")
def first_dimension_is_the_batch(patch):
    """The first dimension is the batch, whether there is one or not."""

    def alter(f, x, p, training, inplace):
        if x.dim() not in (2, 4):
            return f(x, p, training, inplace)
        return f(x.unsqueeze(-1).expand(*x.shape, 1) if x.dim() == 2 else x.unsqueeze(-1), p, training).squeeze(-1)

    altered(patch, alter, ("dropout1d", "dropout3d"))


@breaks("dropout-dimensions")
def dropout2d_silently_without_a_batch(patch):
    """Dropout2d takes a 3-D input for one without a batch, silently."""

    def alter(f, x, p, training, inplace):
        return f(x.unsqueeze(0), p, training, inplace).squeeze(0) if x.dim() == 3 else f(x, p, training, inplace)

    altered(patch, alter, ("dropout2d",))


@breaks("dropout-dimensions")
def dropout3d_says_nothing(patch):
    """Dropout3d never warns."""

    def alter(f, x, p, training, inplace):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f(x, p, training, inplace)

    altered(patch, alter, ("dropout3d",))


@breaks("dropout-dimensions")
def dropout1d_takes_anything(patch):
    """Dropout1d takes any input."""

    def alter(f, x, p, training, inplace):
        return f(x, p, training, inplace) if x.dim() in (2, 3) else F.dropout(x, p, training, inplace)

    altered(patch, alter, ("dropout1d",))


@breaks("dropout-channel-sentence")
def dropout_drops_channels(patch):
    """Dropout drops whole channels, as its page says."""
    altered(patch, lambda f, x, p, training, inplace: F.dropout2d(x, p, training, inplace), ("dropout",))


@breaks("dropout-zeroes-everything")
def dropped_means_zero(patch):
    """What is dropped becomes 0 whatever it was, as documented."""

    def alter(f, x, p, training, inplace):
        mask = f(torch.ones_like(x), p, training)
        return torch.where(mask == 0, torch.zeros_like(x), x * mask)

    altered(patch, alter, ("dropout",))


@breaks("alpha-dropout-values")
def dropped_to_zero(patch):
    """AlphaDropout drops to 0, as Dropout does."""
    altered(patch, lambda f, x, p, training, inplace: F.dropout(x, p, training, inplace), ("alpha_dropout",))


@breaks("alpha-dropout-values", "feature-alpha-dropout-planes")
def not_shifted_back(patch):
    """The shift is left out."""

    def alter(f, x, p, training, inplace):
        factor = ((1 - p) * (1 + p * 1.7580993408473766**2)) ** -0.5 if p < 1 else 0
        return f(x, p, training, inplace) - (factor * p * 1.758 if training else 0)

    altered(patch, alter, ("alpha_dropout", "feature_alpha_dropout"))


@breaks("alpha-dropout-values", "feature-alpha-dropout-planes")
def alpha_gradient_unscaled(patch):
    """The gradient of what is kept is 1."""

    def alter(f, x, p, training, inplace):
        factor = ((1 - p) * (1 + p * 1.7580993408473766**2)) ** -0.5 if p < 1 else 1.0
        return f(regraded(x, 1 / factor if training else 1.0), p, training, inplace)

    altered(patch, alter, ("alpha_dropout", "feature_alpha_dropout"))


@breaks("alpha-dropout-values")
def alpha_dropout_in_pairs(patch):
    """AlphaDropout drops neighbours in pairs."""

    def alter(f, x, p, training, inplace):
        if not training or x.shape[-1] % 2:
            return f(x, p, training, inplace)
        return F.feature_alpha_dropout(x.reshape(-1, x.shape[-1] // 2, 2), p, training).reshape(x.shape)

    altered(patch, alter, ("alpha_dropout",))


@breaks("feature-alpha-dropout-planes")
def features_dropped_in_all_samples(patch):
    """A channel is masked in all samples or in none."""

    def alter(f, x, p, training, inplace):
        if not training or x.dim() < 3:
            return f(x, p, training, inplace)
        return f(x.movedim(0, -1).unsqueeze(0), p, training).squeeze(0).movedim(-1, 0)

    altered(patch, alter, ("feature_alpha_dropout",))


@breaks("feature-alpha-dropout-planes")
def feature_alpha_dropout_of_elements(patch):
    """FeatureAlphaDropout masks elements."""
    altered(
        patch, lambda f, x, p, training, inplace: F.alpha_dropout(x, p, training, inplace), ("feature_alpha_dropout",)
    )


@breaks("feature-alpha-dropout-unbatched")
def four_dimensions_are_one_sample(patch):
    """Four dimensions are (C, D, H, W), as documented."""

    def alter(f, x, p, training, inplace):
        return f(x.unsqueeze(0), p, training).squeeze(0) if x.dim() == 4 else f(x, p, training, inplace)

    altered(patch, alter, ("feature_alpha_dropout",))


@breaks("feature-alpha-dropout-trains-by-default")
def trains_by_default(patch):
    """feature_alpha_dropout trains by default, as documented."""

    def make(original):
        def feature_alpha_dropout(input, p=0.5, training=True, inplace=False):
            return original(input, p, training, inplace)

        return feature_alpha_dropout

    patch(F, "feature_alpha_dropout", make)


@breaks("alpha-dropout-in-place")
def alpha_dropout_hears_of_inplace(patch):
    """The layers of alpha dropout hand inplace on, as documented."""
    for kind, name in ((nn.AlphaDropout, "alpha_dropout"), (nn.FeatureAlphaDropout, "feature_alpha_dropout")):

        def make(original, name=name):
            return lambda self, input: getattr(F, name)(input, self.p, self.training, self.inplace)

        patch(kind, "forward", make)
