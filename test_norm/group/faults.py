"""How group normalisation could be broken."""

import torch
from torch import nn

from test_norm.breaking import replace, with_gradient
from torchclaims import breaks


@breaks("group-formula", "group-mixed-dtype", "group-affine-a-channel", "group-bias-off", "group-same-in-evaluation")
def eps_is_doubled(patch):
    """Twice the eps is added."""
    replace(patch, "group_norm", lambda original, *, eps, **rest: original(eps=2 * eps, **rest))


@breaks("group-formula", "group-samples-are-independent")
def groups_take_every_other_channel(patch):
    """A group takes every num_groups-th channel instead of neighbours."""

    def change(original, *, input, num_groups, weight, bias, eps):
        channels = input.shape[1]
        order = torch.arange(channels).reshape(-1, num_groups).t().flatten()
        weight, bias = (None if one is None else one[order] for one in (weight, bias))
        return original(input[:, order], num_groups, weight, bias, eps)[:, torch.argsort(order)]

    replace(patch, "group_norm", change)


@breaks("group-formula", "group-one-is-layer-norm", "group-each-is-instance-norm")
def unbiased_variance_normalises(patch):
    """The unbiased variance normalises."""

    def change(original, *, input, num_groups, bias, **rest):
        output = original(input=input, num_groups=num_groups, bias=None, **rest)
        count = max(input[:1].numel() // num_groups, 2)
        output = output * ((count - 1) / count) ** 0.5
        shape = (1, -1) + (1,) * (input.dim() - 2)
        return (output if bias is None else output + bias.reshape(shape)).to(input.dtype)

    replace(patch, "group_norm", change)


@breaks("group-samples-are-independent", "group-formula")
def last_sample_borrows(patch):
    """Of four or more channels the third sample is normalised with the second one's mean."""

    def change(original, *, input, **rest):
        output = original(input=input, **rest)
        return torch.cat([output[:2], output[2:] * 1.01]) if input.shape[0] > 2 else output

    replace(patch, "group_norm", change)


def difference_of_squares(input, num_groups, weight, bias, eps):
    x = input.reshape(input.shape[0], num_groups, -1)
    mean = x.mean(-1, keepdim=True)
    variance = (x.square().mean(-1, keepdim=True) - mean.square()).clamp_min(0)
    output = ((x - mean) * (variance + eps).rsqrt()).reshape(input.shape)
    shape = (1, -1) + (1,) * (input.dim() - 2)
    return output * weight.reshape(shape) + bias.reshape(shape)


@breaks("group-conditioning")
def variance_as_a_difference_of_squares(patch):
    """The variance is the mean square less the squared mean."""
    replace(patch, "group_norm", lambda original, **arguments: difference_of_squares(**arguments))


@breaks("group-constant")
def constants_are_centred_too_late(patch):
    """A constant input keeps a thousandth of its value."""

    def change(original, *, input, **rest):
        output = original(input=input, **rest)
        return output + 1e-3 * input if len(input) and (input == input.flatten()[0]).all() else output

    replace(patch, "group_norm", change)


@breaks("group-constant-exact")
def mean_is_subtracted_first(patch):
    """The group's mean is subtracted before anything else, as it should be."""

    def change(original, *, input, num_groups, **rest):
        x = input.reshape(input.shape[0], num_groups, -1)
        return original(input=(x - x.mean(-1, keepdim=True)).reshape(input.shape), num_groups=num_groups, **rest)

    replace(patch, "group_norm", change)


@breaks("group-conditioning-channels-last")
def channels_last_is_put_in_order(patch):
    """The input is made contiguous before it is normalised, as it should be."""
    replace(patch, "group_norm", lambda original, *, input, **rest: original(input=input.contiguous(), **rest))


@breaks("group-backward")
def weight_gradient_of_whole_vectors(patch):
    """The weight's gradient of the last channel is lost."""

    def change(original, *, weight, **rest):
        def lose(grad):
            return torch.cat([grad[:-1], torch.zeros_like(grad[-1:])])

        return original(weight=with_gradient(weight, lose), **rest)

    replace(patch, "group_norm", change)


@breaks("group-backward")
def gradient_of_one_sample_is_halved(patch):
    """The gradient of a batch of one is halved where it is not contiguous."""

    def change(original, **arguments):
        def halve(grad):
            return grad if grad.shape[0] > 1 or grad.is_contiguous() else grad / 2

        return with_gradient(original(**arguments), halve)

    replace(patch, "group_norm", change)


@breaks("group-mixed-dtype")
def mixed_output_in_float32(patch):
    """The output has the parameters' dtype."""

    def change(original, *, input, weight, **rest):
        output = original(input=input, weight=weight, **rest)
        return output if weight is None else output.to(weight.dtype)

    replace(patch, "group_norm", change)


@breaks("group-affine-a-channel")
def bias_starts_at_one(patch):
    """The bias starts at 1."""

    def make(original):
        def reset(self):
            original(self)
            if self.affine and self.bias is not None:
                nn.init.ones_(self.bias)

        return reset

    patch(nn.GroupNorm, "reset_parameters", make)


@breaks("group-bias-off")
def bias_flag_ignored(patch):
    """bias=False is ignored."""

    def make(original):
        def init(self, *args, **kwargs):
            kwargs.pop("bias", None)
            original(self, *args, **kwargs)

        return init

    patch(nn.GroupNorm, "__init__", make)


@breaks("group-one-is-layer-norm")
def one_group_leaves_the_last_position_out(patch):
    """With one group and default parameters the output is a hundredth too large."""

    def change(original, *, num_groups, **rest):
        output = original(num_groups=num_groups, **rest)
        return output * 1.02 if num_groups == 1 else output

    replace(patch, "group_norm", change)


@breaks("group-each-is-instance-norm")
def groups_are_halved(patch):
    """As many groups as channels become half as many, for an even number."""

    def change(original, *, input, num_groups, **rest):
        even = num_groups == input.shape[1] and num_groups % 2 == 0
        return original(input=input, num_groups=num_groups // 2 if even else num_groups, **rest)

    replace(patch, "group_norm", change)


@breaks("group-same-in-evaluation")
def evaluation_passes_its_input_on(patch):
    """In evaluation nothing is normalised."""
    patch(nn.GroupNorm, "forward", lambda original: lambda self, x: original(self, x) if self.training else x)


@breaks("group-indivisible")
def groups_beyond_the_channels_pass(patch):
    """More groups than channels are accepted."""

    def make(original):
        def init(self, num_groups, num_channels, *args, **kwargs):
            original(self, min(num_groups, max(num_channels, 1)), num_channels, *args, **kwargs)

        return init

    patch(nn.GroupNorm, "__init__", make)


@breaks("group-input-refused")
def parameters_are_cut_off(patch):
    """Parameters are repeated or cut off to the input's channels."""

    def change(original, *, input, weight, bias, **rest):
        if weight is not None and input.dim() > 1:
            channels = input.shape[1]
            weight, bias = (None if one is None else one.repeat(channels)[:channels] for one in (weight, bias))
        return original(input=input, weight=weight, bias=bias, **rest)

    replace(patch, "group_norm", change)


@breaks("group-one-value")
def one_value_a_group_is_passed_on(patch):
    """A group of one value is not normalised."""

    def change(original, *, input, num_groups, **rest):
        output = original(input=input, num_groups=num_groups, **rest)
        return input + 0 * output if input[:1].numel() == num_groups else output

    replace(patch, "group_norm", change)


@breaks("group-one-value-one-sample")
def one_value_a_group_passes(patch):
    """A single sample is normalised whatever its groups' size, as it should be."""

    def change(original, *, input, **rest):
        return (
            original(input=torch.cat([input, input]), **rest)[:1] if len(input) == 1 else original(input=input, **rest)
        )

    replace(patch, "group_norm", change)


@breaks("group-empty-batch")
def empty_batch_gets_a_sample(patch):
    """An empty batch has an output of one sample."""

    def change(original, *, input, **rest):
        if len(input):
            return original(input=input, **rest)
        return input.new_zeros((1, *input.shape[1:]), requires_grad=True)

    replace(patch, "group_norm", change)


@breaks("group-prints-arguments")
def groups_and_channels_are_printed_in_turn(patch):
    """The printed form has the channels before the groups."""

    def make(original):
        def extra_repr(self):
            text = original(self)
            first = f"{self.num_groups}, {self.num_channels}"
            return text.replace(first, f"{self.num_channels}, {self.num_groups}")

        return extra_repr

    patch(nn.GroupNorm, "extra_repr", make)
