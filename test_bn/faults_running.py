"""How what test_running.py decides could be broken."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from test_bn.breaking import count_per_channel, replace_batch_norm
from torchclaims import breaks


@breaks(
    "bn-running-update",
    "bn-running-mean-one-tenth",
    "bn-momentum-one",
    "bn-momentum-zero",
    "bn-frozen-still-tracks",
)
def momentum_weighs_the_old_value(patch):
    """momentum weighs the old value instead of the new one."""

    def change(original, *, momentum, **rest):
        return original(momentum=1 - momentum, **rest)

    replace_batch_norm(patch, change)


@breaks("bn-running-var-unbiased", "bn-momentum-one", "bn-momentum-none")
def running_var_takes_the_biased_variance(patch):
    """running_var accumulates the biased variance."""

    def change(original, *, input, running_var, training, momentum, **rest):
        before = None if running_var is None else running_var.clone()
        output = original(input=input, running_var=running_var, training=training, momentum=momentum, **rest)
        if training and running_var is not None:
            count = count_per_channel(input)
            kept = (1 - momentum) * before
            with torch.no_grad():
                running_var.copy_(kept + (running_var - kept) * (count - 1) / count)
        return output

    replace_batch_norm(patch, change)


@breaks("bn-momentum-one-too-late", "bn-prints-momentum")
def momentum_is_read_at_construction(patch):
    """momentum is fixed at construction; setting the attribute changes what was."""

    def make(original):
        def init(self, num_features, eps=1e-5, momentum=0.1, *args, **kwargs):
            original(self, num_features, eps, momentum, *args, **kwargs)
            self.__class__ = late_momentum(type(self), momentum)

        return init

    patch(_BatchNorm, "__init__", make)


def late_momentum(base, initial):
    """A class whose momentum, once set, applies to the batches already seen, and is not printed."""

    def set_momentum(self, value):
        if self.running_mean is not None:
            self.running_mean.mul_(value / initial)

    members = {"momentum": property(lambda self: initial, set_momentum)}
    return type(base.__name__, (base,), members)


@breaks("bn-momentum-none", "bn-counter", "bn-momentum-zero")
def counter_skips_the_first_batch(patch):
    """num_batches_tracked counts from the second batch on."""

    def make(original):
        def forward(self, input):
            first = self.training and self.num_batches_tracked is not None and not getattr(self, "seen", False)
            output = original(self, input)
            if first:
                self.seen = True
                self.num_batches_tracked.sub_(1)
            return output

        return forward

    patch(_BatchNorm, "forward", make)


@breaks("bn-counter")
def counter_counts_in_evaluation(patch):
    """num_batches_tracked grows in evaluation too."""

    def make(original):
        def forward(self, input):
            if not self.training and self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
            return original(self, input)

        return forward

    patch(_BatchNorm, "forward", make)


@breaks("bn-frozen-still-tracks")
def no_tracking_without_gradients(patch):
    """The statistics stand still where no gradient is recorded."""

    def change(original, *, input, weight, running_mean, running_var, **rest):
        frozen = not torch.is_grad_enabled() or (weight is not None and not weight.requires_grad)
        if frozen and rest["training"] and running_mean is not None:
            running_mean, running_var = running_mean.clone(), running_var.clone()
        return original(input=input, weight=weight, running_mean=running_mean, running_var=running_var, **rest)

    replace_batch_norm(patch, change)


@breaks("bn-reset-running-stats")
def reset_forgets_the_counter(patch):
    """reset_running_stats leaves the counter where it was."""

    def make(original):
        def reset_running_stats(self):
            count = self.num_batches_tracked.clone() if self.track_running_stats else None
            original(self)
            if count is not None and not count.is_meta:
                self.num_batches_tracked.copy_(count)

        return reset_running_stats

    patch(_NormBase, "reset_running_stats", make)


@breaks("bn-state-entries")
def counter_is_not_saved(patch):
    """num_batches_tracked is not persistent."""

    def make(original):
        def register_buffer(self, name, tensor, persistent=True):
            original(self, name, tensor, persistent=persistent and name != "num_batches_tracked")

        return register_buffer

    patch(nn.Module, "register_buffer", make)


@breaks("bn-zero-dimensional-prints")
def sums_keep_a_dimension(patch):
    """A full sum keeps the tensor's dimensions."""
    patch(
        torch.Tensor,
        "sum",
        lambda original: (
            lambda self, *args, **kwargs: (
                original(self, *args, **kwargs) if args or kwargs else original(self).reshape((1,) * self.dim())
            )
        ),
    )


@breaks("bn-running-var-unbiased", "bn-running-update")
def one_sample_leaves_the_biased_variance(patch):
    """running_var accumulates the biased variance of a batch of one sample."""

    def change(original, *, input, running_var, training, momentum, **rest):
        if not training or running_var is None or input.shape[0] > 1 or count_per_channel(input) < 2:
            return original(input=input, running_var=running_var, training=training, momentum=momentum, **rest)
        kept = (1 - momentum) * running_var
        out = original(input=input, running_var=running_var, training=True, momentum=momentum, **rest)
        count = count_per_channel(input)
        running_var.data.copy_(kept + (running_var - kept) * (count - 1) / count)
        return out

    replace_batch_norm(patch, change)


@breaks("bn-momentum-none")
def cumulative_average_becomes_a_moving_one(patch):
    """From the eleventh batch on the cumulative average weighs each new one by a tenth."""

    def make(original):
        def forward(self, input):
            late = self.training and self.momentum is None and self.num_batches_tracked >= 10
            self.momentum = 0.1 if late else self.momentum
            try:
                return original(self, input)
            finally:
                self.momentum = None if late else self.momentum

        return forward

    patch(_BatchNorm, "forward", make)
