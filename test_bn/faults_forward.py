"""How what test_forward.py decides could be broken."""

import torch
import torch.nn.functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from test_bn.breaking import by_channel, count_per_channel, replace_batch_norm
from torchclaims import breaks


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
