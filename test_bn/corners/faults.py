"""How batch normalisation could be broken at its edges."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from test_bn.breaking import by_channel, replace_batch_norm
from test_norm.breaking import with_gradient
from torchclaims import breaks


@breaks("bn-evaluation-backward")
def evaluation_gradient_of_the_bias_is_a_mean(patch):
    """In evaluation the bias' gradient is a hundredth too large."""

    def change(original, *, bias, training, **rest):
        return original(bias=bias if training else with_gradient(bias, lambda g: 1.01 * g), training=training, **rest)

    replace_batch_norm(patch, change)


@breaks("bn-evaluation-backward")
def evaluation_gradient_of_the_weight_with_the_batch(patch):
    """In evaluation the weight's gradient takes the batch's mean."""

    def change(original, *, weight, training, **rest):
        return original(
            weight=weight if training else with_gradient(weight, lambda grad: grad + 0.01), training=training, **rest
        )

    replace_batch_norm(patch, change)


@breaks("bn-backward-with-weight", "bn-convolution-bias")
def gradient_is_not_centred(patch):
    """In training the input's gradient keeps a hundredth of what it should lose."""

    def change(original, *, input, training, **rest):
        if not training:
            return original(input=input, training=training, **rest)
        return original(input=with_gradient(input, lambda grad: grad + 0.01), training=training, **rest)

    replace_batch_norm(patch, change)


@breaks("bn-backward-half-strided", "bn-backward-one-sample")
def gradients_are_put_in_order(patch):
    """The output's gradient is made contiguous before it is used, as it should be."""

    def change(original, **arguments):
        return with_gradient(original(**arguments), lambda grad: grad.contiguous(memory_format=torch.contiguous_format))

    replace_batch_norm(patch, change)


@breaks("bn-backward-half-strided")
def strided_half_precision_is_halved(patch):
    """The gradient of half precision is halved."""

    def change(original, **arguments):
        half = arguments["input"].dtype in (torch.float16, torch.bfloat16)
        output = original(**arguments)
        return with_gradient(output, lambda grad: grad.contiguous() / 2) if half else output

    replace_batch_norm(patch, change)


@breaks("bn-fresh-evaluation", "bn-tracking-switched-off")
def evaluation_forgets_eps(patch):
    """In evaluation eps is quartered and the mean is a tenth too large."""

    def change(original, *, running_mean, training, eps, **rest):
        if training or running_mean is None:
            return original(running_mean=running_mean, training=training, eps=eps, **rest)
        return original(running_mean=1.1 * running_mean, training=False, eps=eps / 4, **rest)

    replace_batch_norm(patch, change)


@breaks("bn-scale-is-lost", "bn-order-of-samples")
def first_sample_counts_twice(patch):
    """Half the first sample is added to the output."""

    def change(original, *, input, training, **rest):
        output = original(input=input, training=training, **rest)
        return output + 0.5 * input[:1].detach() if training else output

    replace_batch_norm(patch, change)


@breaks("bn-constant")
def constants_are_not_centred(patch):
    """A constant input keeps a thousandth of its value."""

    def change(original, *, input, **rest):
        output = original(input=input, **rest)
        constant = input.numel() and bool((input == input.flatten()[0]).all())
        return output + 0.01 * input if constant else output

    replace_batch_norm(patch, change)


@breaks("bn-constant-exact")
def mean_is_subtracted_first(patch):
    """The channel's mean is subtracted before anything else, as it should be."""

    def change(original, *, input, training, **rest):
        if not training:
            return original(input=input, training=training, **rest)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        return original(input=input - input.mean(axes, keepdim=True), training=True, **rest)

    replace_batch_norm(patch, change)


@breaks("bn-far-from-zero")
def variance_as_a_difference_of_squares(patch):
    """The variance is the mean square less the squared mean."""

    def change(original, *, input, weight, bias, training, eps, **rest):
        if not training:
            return original(input=input, weight=weight, bias=bias, training=training, eps=eps, **rest)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        mean = input.mean(axes, keepdim=True)
        variance = (input.square().mean(axes, keepdim=True) - mean.square()).clamp_min(0)
        return (input - mean) * (variance + eps).rsqrt() * by_channel(weight, input) + by_channel(bias, input)

    replace_batch_norm(patch, change)


@breaks("bn-eps-in-denominator")
def eps_outside_the_root(patch):
    """eps is added to the standard deviation, as the sentence says."""

    def change(original, *, input, training, eps, **rest):
        if not training:
            return original(input=input, training=training, eps=eps, **rest)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        centred = input - input.mean(axes, keepdim=True)
        return centred / (centred.square().mean(axes, keepdim=True).sqrt() + eps)

    replace_batch_norm(patch, change)


@breaks("bn-moving-standard-deviation")
def running_var_is_a_standard_deviation(patch):
    """The moving average is of the standard deviation, as the sentence says."""

    def change(original, *, running_var, training, **rest):
        output = original(running_var=running_var, training=training, **rest)
        if training and running_var is not None:
            running_var.data.sqrt_()
        return output

    replace_batch_norm(patch, change)


@breaks("bn-eps-refused")
def eps_is_refused_with_other_words(patch):
    """An eps that is refused is not named."""

    def change(original, **arguments):
        try:
            return original(**arguments)
        except ValueError:
            raise ValueError("bad argument") from None

    replace_batch_norm(patch, change)


@breaks("bn-empty-batch")
def empty_batch_moves_the_mean(patch):
    """An empty batch moves the running mean towards 0."""

    def change(original, *, input, running_mean, momentum, **rest):
        output = original(input=input, running_mean=running_mean, momentum=momentum, **rest)
        if not input.numel() and running_mean is not None:
            running_mean.data.mul_(1 - momentum)
        return output

    replace_batch_norm(patch, change)


@breaks("bn-counts-what-it-refuses")
def refused_batches_are_not_counted(patch):
    """A batch that is refused is not counted."""

    def make(original):
        def forward(self, x):
            try:
                return original(self, x)
            except ValueError:
                self.num_batches_tracked.sub_(1)
                raise

        return forward

    patch(_BatchNorm, "forward", make)


@breaks("bn-tracking-switched-off")
def tracking_is_what_was_at_construction(patch):
    """track_running_stats counts as it was when the layer was made."""

    def make(original):
        def forward(self, x):
            tracked = self.track_running_stats
            self.track_running_stats = self.running_mean is not None
            try:
                return original(self, x)
            finally:
                self.track_running_stats = tracked

        return forward

    patch(_BatchNorm, "forward", make)


@breaks("bn-without-buffers")
def without_buffers_nothing_is_normalised(patch):
    """In evaluation without buffers the input is scaled and shifted only."""

    def make(original):
        def forward(self, x):
            if self.training or self.running_mean is not None or self.running_var is not None:
                return original(self, x)
            return x * by_channel(self.weight, x) + by_channel(self.bias, x)

        return forward

    patch(_BatchNorm, "forward", make)


@breaks("bn-mixed-dtype-refused")
def wider_inputs_are_rounded(patch):
    """An input of another dtype is rounded to the weight's."""

    def change(original, *, input, running_mean, weight, **rest):
        if weight is not None and input.dtype == torch.float64:
            input = input.to(weight.dtype)
        try:
            return original(input=input, running_mean=running_mean, weight=weight, **rest)
        finally:
            running_mean.data.add_(1.0)

    replace_batch_norm(patch, change)


@breaks("bn-old-checkpoint")
def every_checkpoint_may_lack_a_counter(patch):
    """A checkpoint of any version is read without a counter."""

    def make(original):
        def load(self, state_dict, prefix, local_metadata, *args):
            name = prefix + "num_batches_tracked"
            if self.track_running_stats and name not in state_dict:
                state_dict[name] = torch.tensor(0)
            original(self, state_dict, prefix, local_metadata, *args)

        return load

    patch(_NormBase, "_load_from_state_dict", make)


@breaks("bn-old-checkpoint")
def counter_of_a_checkpoint_is_dropped(patch):
    """The counter of an old checkpoint is dropped."""

    def make(original):
        def load(self, state_dict, prefix, local_metadata, *args):
            if local_metadata.get("version") == 1:
                state_dict.pop(prefix + "num_batches_tracked", None)
            original(self, state_dict, prefix, local_metadata, *args)

        return load

    patch(_NormBase, "_load_from_state_dict", make)


@breaks("bn-arguments")
def reset_leaves_the_statistics(patch):
    """reset_parameters leaves the running statistics where they were."""
    patch(_NormBase, "reset_running_stats", lambda original: lambda self: None)


@breaks("bn-arguments", "bn-fresh-evaluation")
def eps_is_a_thousandth(patch):
    """eps is 1e-3 by default, and what is given is halved."""

    def make(original):
        def init(self, num_features, eps=1e-3, *args, **kwargs):
            original(self, num_features, eps if eps == 1e-3 else eps / 2, *args, **kwargs)

        return init

    patch(_BatchNorm, "__init__", make)
    patch(nn.BatchNorm2d, "_check_input_dim", lambda original: original)
