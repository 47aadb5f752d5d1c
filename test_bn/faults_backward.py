"""How what test_backward.py decides could be broken."""

import torch

from test_bn.breaking import by_channel, replace_batch_norm
from torchclaims import breaks


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


@breaks("bn-backward")
def bias_gradient_of_the_last_channels_lost(patch):
    """The channels left over after whole vectors of eight get no gradient for their bias."""

    def change(original, *, input, bias, **rest):
        whole = input.shape[1] // 8 * 8
        if bias is not None and 0 < whole < input.shape[1]:
            bias = torch.cat([bias[:whole], bias[whole:].detach() + 0 * bias[whole:]])
        return original(input=input, bias=bias, **rest)

    replace_batch_norm(patch, change)


@breaks("bn-eval-gradient")
def evaluation_gradient_without_the_weight(patch):
    """In evaluation the gradient is 1 / sqrt(running_var + eps) whatever the weight is."""

    def change(original, *, input, weight, training, **rest):
        if not training and weight is not None:
            scale = by_channel(weight.detach(), input)
            input = input.detach() + (input - input.detach()) / scale
        return original(input=input, weight=weight, training=training, **rest)

    replace_batch_norm(patch, change)
