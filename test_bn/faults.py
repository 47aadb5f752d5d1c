"""How batch normalisation could be broken: each in the manner of a real regression."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from torchclaims import breaks

DEFAULTS = {"weight": None, "bias": None, "training": False, "momentum": 0.1, "eps": 1e-5}


def replace_batch_norm(patch, change):
    """Lets ``change(original, **arguments)`` stand for F.batch_norm."""

    def make(original):
        def batch_norm(input, running_mean, running_var, *args, **kwargs):
            arguments = DEFAULTS | dict(zip(DEFAULTS, args)) | kwargs  # noqa: B905 - fewer arguments than names
            return change(original, input=input, running_mean=running_mean, running_var=running_var, **arguments)

        return batch_norm

    patch(F, "batch_norm", make)


def count_per_channel(x):
    return x.numel() // x.shape[1]


def by_channel(values, x):
    return values.reshape((1, -1) + (1,) * (x.dim() - 2))


@breaks("bn-train-formula", "bn-subtracts-mean-and-variance", "bn-biased-variance-normalises", "bn-track-false")
def unbiased_variance_normalises(patch):
    """In training the unbiased variance normalises."""

    def change(original, *, input, training, eps, **rest):
        if not training:
            return original(input=input, training=training, eps=eps, **rest)
        count = count_per_channel(input)
        weight = input.new_ones(input.shape[1]) if rest["weight"] is None else rest["weight"]
        smaller = weight * ((count - 1) / count) ** 0.5
        return original(input=input, training=True, eps=eps, **(rest | {"weight": smaller}))

    replace_batch_norm(patch, change)


@breaks("bn-eps-inside-root", "bn-train-formula", "bn-affine-off")
def eps_outside_the_root(patch):
    """eps is added to the standard deviation, outside the root."""

    def change(original, *, input, running_mean, running_var, weight, bias, training, momentum, eps):
        if not training:
            return original(input, running_mean, running_var, weight, bias, training, momentum, eps)
        original(input, running_mean, running_var, weight, bias, training, momentum, eps)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        centred = input - input.mean(axes, keepdim=True)
        output = centred / (centred.square().mean(axes, keepdim=True).sqrt() + eps)
        output = output if weight is None else output * by_channel(weight, input)
        return output if bias is None else output + by_channel(bias, input)

    replace_batch_norm(patch, change)


@breaks("bn-statistics-per-channel", "bn-momentum-one", "bn-running-update")
def the_last_column_is_left_out(patch):
    """The statistics leave out the last position of the last axis."""

    def change(original, *, input, **rest):
        output = original(input=input, **rest)
        if rest["training"] and rest["running_mean"] is not None and input.shape[-1] > 1 and input.dim() > 2:
            with torch.no_grad():
                kept = input[..., :-1].transpose(0, 1).flatten(1).mean(1)
                whole = input.transpose(0, 1).flatten(1).mean(1)
                rest["running_mean"].add_(rest["momentum"] * (kept - whole))
        return output

    replace_batch_norm(patch, change)


@breaks("bn-statistics-per-channel", "bn-running-mean-entry-per-channel")
def statistics_over_all_channels(patch):
    """The running mean is one number for all channels."""

    def change(original, **arguments):
        output = original(**arguments)
        if arguments["training"] and arguments["running_mean"] is not None:
            with torch.no_grad():
                arguments["running_mean"].copy_(arguments["running_mean"].mean().expand_as(arguments["running_mean"]))
        return output

    replace_batch_norm(patch, change)


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


@breaks("bn-running-mean-is-the-mean-used", "bn-train-formula", "bn-shift-is-lost")
def training_normalises_with_the_running_mean(patch):
    """In training the running mean is subtracted instead of the batch's."""

    def change(original, *, input, running_mean, weight, running_var, training, **rest):
        used = None if running_mean is None else running_mean.clone()
        output = original(
            input=input,
            running_mean=running_mean,
            weight=weight,
            running_var=running_var,
            training=training,
            **rest,
        )
        if not training or used is None:
            return output
        axes = [axis for axis in range(input.dim()) if axis != 1]
        scale = torch.rsqrt(input.var(axes, unbiased=False) + rest["eps"]) * (1 if weight is None else weight)
        return output + by_channel(scale * (input.mean(axes) - used), input)

    replace_batch_norm(patch, change)


@breaks("bn-eval-uses-running-statistics", "bn-eval-gradient", "bn-functional-defaults")
def evaluation_uses_the_batch(patch):
    """In evaluation the batch's own statistics are used, as in training, and not tracked."""

    def change(original, *, running_mean, running_var, training, **rest):
        if training or running_mean is None:
            return original(running_mean=running_mean, running_var=running_var, training=training, **rest)
        return original(running_mean=None, running_var=None, training=True, **rest)

    replace_batch_norm(patch, change)


@breaks("bn-eval-uses-running-statistics")
def evaluation_updates_the_running_mean(patch):
    """In evaluation the running mean still moves a little."""

    def change(original, *, input, running_mean, training, momentum, **rest):
        output = original(input=input, running_mean=running_mean, training=training, momentum=momentum, **rest)
        if not training and running_mean is not None:
            with torch.no_grad():
                running_mean.lerp_(input.transpose(0, 1).flatten(1).mean(1).to(running_mean.dtype), momentum / 10)
        return output

    replace_batch_norm(patch, change)


@breaks("bn-backward", "bn-backward-orthogonal")
def variance_is_a_constant_for_the_gradient(patch):
    """The gradient does not go through the batch's variance."""

    def change(original, *, input, weight, bias, training, eps, **rest):
        output = original(input=input, weight=weight, bias=bias, training=training, eps=eps, **rest)
        if not training:
            return output
        axes = [axis for axis in range(input.dim()) if axis != 1]
        scale = torch.rsqrt(input.detach().var(axes, unbiased=False, keepdim=True) + eps)
        direct = (input - input.mean(axes, keepdim=True)) * scale
        direct = direct if weight is None else direct * by_channel(weight, input)
        direct = direct if bias is None else direct + by_channel(bias, input)
        return direct + (output - direct).detach()

    replace_batch_norm(patch, change)


@breaks("bn-backward", "bn-backward-orthogonal")
def mean_is_a_constant_for_the_gradient(patch):
    """The gradient does not go through the batch's mean."""

    def change(original, *, input, training, weight, bias, eps, **rest):
        output = original(input=input, training=training, weight=weight, bias=bias, eps=eps, **rest)
        if not training:
            return output
        axes = [axis for axis in range(input.dim()) if axis != 1]
        scale = torch.rsqrt(input.var(axes, unbiased=False, keepdim=True) + eps).detach()
        scale = scale if weight is None else scale * by_channel(weight.detach(), input)
        mean_path = input.mean(axes, keepdim=True) * scale
        return output + mean_path - mean_path.detach()

    replace_batch_norm(patch, change)


@breaks("bn-backward")
def weight_gradient_of_the_input_itself(patch):
    """The weight's gradient is taken with the normalised input of the first sample for the last one."""

    def change(original, *, weight, input, training, **rest):
        output = original(weight=weight, input=input, training=training, **rest)
        if weight is None or not training:
            return output
        missing = output[-1:].detach() * by_channel(weight / weight.detach() - 1, output)
        correction = torch.cat([torch.zeros_like(output[:-1]), missing - missing.detach()])
        return output - 0.5 * correction

    replace_batch_norm(patch, change)


@breaks("bn-eval-gradient")
def evaluation_gradient_through_the_batch(patch):
    """In evaluation the gradient is centred, as in training."""

    def change(original, *, input, training, **rest):
        if training:
            return original(input=input, training=training, **rest)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        mean = input.mean(axes, keepdim=True)
        return original(input=input - mean + mean.detach(), training=training, **rest)

    replace_batch_norm(patch, change)


@breaks("bn-functional-agrees")
def module_passes_a_smaller_eps(patch):
    """The module normalises with half its eps."""

    def make(original):
        def forward(self, input):
            self.eps /= 2
            try:
                return original(self, input)
            finally:
                self.eps *= 2

        return forward

    patch(_BatchNorm, "forward", make)


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


@breaks("bn-track-false")
def evaluation_without_statistics_normalises_with_nothing(patch):
    """Without running statistics evaluation normalises with mean 0 and variance 1."""

    def make(original):
        def forward(self, input):
            if self.training or self.running_mean is not None:
                return original(self, input)
            zeros = input.new_zeros(self.num_features)
            return F.batch_norm(input, zeros, zeros + 1, self.weight, self.bias, False, 0.0, self.eps)

        return forward

    patch(_BatchNorm, "forward", make)


@breaks("bn-state-entries")
def counter_is_not_saved(patch):
    """num_batches_tracked is not persistent."""

    def make(original):
        def register_buffer(self, name, tensor, persistent=True):
            original(self, name, tensor, persistent=persistent and name != "num_batches_tracked")

        return register_buffer

    patch(nn.Module, "register_buffer", make)


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


@breaks("bn-backward")
def bias_gradient_of_the_last_channels_lost(patch):
    """The channels left over after whole vectors of eight get no gradient for their bias."""

    def change(original, *, input, bias, **rest):
        whole = input.shape[1] // 8 * 8
        if bias is not None and 0 < whole < input.shape[1]:
            bias = torch.cat([bias[:whole], bias[whole:].detach() + 0 * bias[whole:]])
        return original(input=input, bias=bias, **rest)

    replace_batch_norm(patch, change)


@breaks("bn-affine-off")
def evaluation_without_affine_keeps_the_mean(patch):
    """In evaluation without a weight the running mean is not subtracted."""

    def change(original, *, running_mean, weight, training, **rest):
        if not training and weight is None and running_mean is not None:
            running_mean = torch.zeros_like(running_mean)
        return original(running_mean=running_mean, weight=weight, training=training, **rest)

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


@breaks("bn-eval-gradient")
def evaluation_gradient_without_the_weight(patch):
    """In evaluation the gradient is 1 / sqrt(running_var + eps) whatever the weight is."""

    def change(original, *, input, weight, training, **rest):
        if not training and weight is not None:
            scale = by_channel(weight.detach(), input)
            input = input.detach() + (input - input.detach()) / scale
        return original(input=input, weight=weight, training=training, **rest)

    replace_batch_norm(patch, change)
