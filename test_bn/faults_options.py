"""How what test_options.py decides could be broken."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from test_bn.breaking import replace_batch_norm
from torchclaims import breaks


@breaks("bn-initial-values")
def weight_starts_uniform(patch):
    """The weight is drawn from U(0, 1), as releases before 1.2 did."""
    patch(
        _NormBase,
        "reset_parameters",
        lambda original: reset_with(original, lambda self: nn.init.uniform_(self.weight)),
    )


@breaks("bn-initial-values", "bn-reset-running-stats")
def running_var_starts_at_zero(patch):
    """The running variance starts at 0."""
    patch(
        _NormBase,
        "reset_running_stats",
        lambda original: reset_with(original, lambda self: self.running_var.zero_()),
    )


def reset_with(original, then):
    """``original`` followed by ``then``, for modules that have what it resets."""

    def reset(self):
        original(self)
        if self.affine and self.track_running_stats:
            then(self)

    return reset


@breaks("bn-two-parameters-a-channel", "bn-affine-off")
def affine_flag_ignored(patch):
    """affine=False is ignored."""

    def make(original):
        def init(self, num_features, eps=1e-5, momentum=0.1, affine=True, *args, **kwargs):
            original(self, num_features, eps, momentum, True, *args, **kwargs)

        return init

    patch(_BatchNorm, "__init__", make)


@breaks("bn-bias-off")
def bias_flag_ignored(patch):
    """bias=False is ignored."""

    def make(original):
        def init(self, *args, **kwargs):
            kwargs.pop("bias", None)
            original(self, *args, **kwargs)

        return init

    patch(_BatchNorm, "__init__", make)


@breaks("bn-prints-momentum")
def momentum_is_not_printed(patch):
    """The printed form leaves the momentum out."""
    patch(
        _NormBase,
        "extra_repr",
        lambda original: lambda self: original(self).replace(f"momentum={self.momentum}, ", ""),
    )


@breaks("bn-argument-is-channels")
def extra_channels_are_cut_off(patch):
    """Statistics for more channels than the input has are cut off without a word."""

    def change(original, *, input, running_mean, running_var, weight, bias, **rest):
        statistics = (running_mean, running_var, weight, bias)
        cut = [None if tensor is None else tensor[: input.shape[1]] for tensor in statistics]
        return original(input=input, running_mean=cut[0], running_var=cut[1], weight=cut[2], bias=cut[3], **rest)

    replace_batch_norm(patch, change)


@breaks("bn-one-value-a-channel")
def one_value_a_channel_is_accepted(patch):
    """A batch with one value per channel is normalised to the bias."""
    patch(F, "_verify_batch_size", lambda original: lambda size: None)


@breaks("bn-input-dimensions")
def dimensions_are_checked_after_counting(patch):
    """The batch is counted before its dimensions are checked."""

    def make(original):
        def check(self, input):
            try:
                original(self, input)
            except ValueError:
                self.num_batches_tracked.add_(1)
                raise

        return check

    for batch_norm in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
        patch(batch_norm, "_check_input_dim", make)


@breaks("bn-functional-defaults")
def functional_trains_by_default(patch):
    """F.batch_norm trains unless told otherwise."""
    patch(
        F,
        "batch_norm",
        lambda original: (
            lambda *args, **kwargs: original(*args, **({"training": True} | kwargs if len(args) < 6 else kwargs))
        ),
    )


@breaks("bn-affine-off")
def evaluation_without_affine_keeps_the_mean(patch):
    """In evaluation without a weight the running mean is not subtracted."""

    def change(original, *, running_mean, weight, training, **rest):
        if not training and weight is None and running_mean is not None:
            running_mean = torch.zeros_like(running_mean)
        return original(running_mean=running_mean, weight=weight, training=training, **rest)

    replace_batch_norm(patch, change)
