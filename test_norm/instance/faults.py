"""How instance normalisation could be broken."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm

from test_norm.breaking import by_channel, replace, with_gradient
from torchclaims import breaks


@breaks("instance-formula", "instance-same-in-evaluation", "instance-unbatched", "instance-functional-agrees")
def eps_is_doubled(patch):
    """Twice the eps is added."""
    replace(patch, "instance_norm", lambda original, *, eps, **rest: original(eps=2 * eps, **rest))


@breaks("instance-formula", "instance-bias-off", "instance-same-in-evaluation")
def unbiased_variance_normalises(patch):
    """The unbiased variance normalises, for inputs without a running mean."""

    def change(original, *, input, weight, **rest):
        count = input.shape[2:].numel()
        if rest["running_mean"] is not None or count < 2:
            return original(input=input, weight=weight, **rest)
        factor = ((count - 1) / count) ** 0.5
        ones = input.new_ones(input.shape[1]) if weight is None else weight
        return original(input=input, weight=ones * factor, **rest)

    replace(patch, "instance_norm", change)


@breaks("instance-formula", "instance-conditioning")
def statistics_over_the_whole_batch(patch):
    """From three samples or far from zero, the batch's statistics normalise instead of each sample's."""

    def change(original, *, input, running_mean, weight, bias, **rest):
        if running_mean is None and (input.shape[0] > 2 or (input.numel() and input.mean() > 5)):
            return F.batch_norm(input, None, None, weight, bias, True, 0.0, rest["eps"])
        return original(input=input, running_mean=running_mean, weight=weight, bias=bias, **rest)

    replace(patch, "instance_norm", change)


@breaks("instance-conditioning")
def variance_as_a_difference_of_squares(patch):
    """The variance is the mean square less the squared mean."""

    def change(original, *, input, running_mean, weight, bias, eps, **rest):
        if running_mean is not None or input.dim() < 4:
            return original(input=input, running_mean=running_mean, weight=weight, bias=bias, eps=eps, **rest)
        mean = input.mean((2, 3), keepdim=True)
        variance = (input.square().mean((2, 3), keepdim=True) - mean.square()).clamp_min(0)
        output = (input - mean) * (variance + eps).rsqrt()
        return output if weight is None else output * by_channel(weight, input) + by_channel(bias, input)

    replace(patch, "instance_norm", change)


@breaks("instance-backward")
def weight_gradient_of_the_first_sample(patch):
    """The weight's gradient is doubled."""

    def change(original, *, weight, **rest):
        return original(weight=with_gradient(weight, lambda grad: 2 * grad), **rest)

    replace(patch, "instance_norm", change)


@breaks("instance-backward")
def variance_is_a_constant_for_the_gradient(patch):
    """The input's gradient is taken as if it were centred twice."""

    def change(original, *, input, **rest):
        first = (slice(0, 1),) * 2
        return original(input=with_gradient(input, lambda grad: grad - 0.01 * grad[first].abs().mean()), **rest)

    replace(patch, "instance_norm", change)


@breaks("instance-backward-one-sample")
def gradients_of_one_sample_are_put_in_order(patch):
    """The output's gradient is made contiguous before it is used, as it should be."""

    def change(original, **arguments):
        return with_gradient(original(**arguments), lambda grad: grad.contiguous())

    replace(patch, "instance_norm", change)


@breaks("instance-running-var-as-computed")
def running_var_takes_the_biased_variance(patch):
    """running_var accumulates the biased variance, as the page says."""

    def change(original, *, input, running_var, momentum, use_input_stats, **rest):
        before = None if running_var is None else running_var.clone()
        output = original(
            input=input, running_var=running_var, momentum=momentum, use_input_stats=use_input_stats, **rest
        )
        if use_input_stats and running_var is not None:
            count = input.shape[2:].numel()
            kept = (1 - momentum) * before
            with torch.no_grad():
                running_var.copy_(kept + (running_var - kept) * (count - 1) / count)
        return output

    replace(patch, "instance_norm", change)


@breaks("instance-running-var", "instance-unbatched")
def running_var_keeps_the_first_sample(patch):
    """running_var is a hundredth too large after each batch."""

    def change(original, *, running_var, use_input_stats, **rest):
        output = original(running_var=running_var, use_input_stats=use_input_stats, **rest)
        if use_input_stats and running_var is not None:
            running_var.data.mul_(1.01)
        return output

    replace(patch, "instance_norm", change)


@breaks("instance-running-mean", "instance-running-var")
def momentum_weighs_the_old_value(patch):
    """momentum weighs the old value instead of the new one."""
    replace(patch, "instance_norm", lambda original, *, momentum, **rest: original(momentum=1 - momentum, **rest))


@breaks("instance-running-mean")
def running_mean_of_the_first_sample(patch):
    """running_mean takes the mean of the first sample only."""

    def change(original, *, input, running_mean, use_input_stats, momentum, **rest):
        before = None if running_mean is None else running_mean.clone()
        output = original(
            input=input, running_mean=running_mean, use_input_stats=use_input_stats, momentum=momentum, **rest
        )
        if use_input_stats and before is not None:
            with torch.no_grad():
                running_mean.copy_((1 - momentum) * before + momentum * input[0].flatten(1).mean(1))
        return output

    replace(patch, "instance_norm", change)


@breaks("instance-evaluation-uses-running", "instance-functional-agrees")
def running_statistics_are_ignored(patch):
    """The input's own statistics normalise whatever is asked for, where a channel has several elements."""

    def change(original, *, input, running_mean, running_var, use_input_stats, **rest):
        if not use_input_stats and running_mean is not None and input.shape[2:].numel() > 1:
            return original(input=input, running_mean=None, running_var=None, use_input_stats=True, **rest)
        return original(
            input=input, running_mean=running_mean, running_var=running_var, use_input_stats=use_input_stats, **rest
        )

    replace(patch, "instance_norm", change)


@breaks("instance-evaluation-uses-running")
def evaluation_moves_the_running_mean(patch):
    """Evaluation moves the running mean a little."""

    def change(original, *, running_mean, use_input_stats, **rest):
        output = original(running_mean=running_mean, use_input_stats=use_input_stats, **rest)
        if not use_input_stats and running_mean is not None:
            running_mean.data.add_(1e-3)
        return output

    replace(patch, "instance_norm", change)


@breaks("instance-same-in-evaluation")
def evaluation_passes_its_input_on(patch):
    """In evaluation nothing is normalised."""
    patch(
        _InstanceNorm,
        "forward",
        lambda original: lambda self, x: original(self, x) if self.training or self.track_running_stats else x,
    )


@breaks("instance-defaults", "instance-prints-arguments")
def affine_by_default(patch):
    """affine is True unless said otherwise."""

    def make(original):
        def init(self, num_features, eps=1e-5, momentum=0.1, affine=True, *args, **kwargs):
            original(self, num_features, eps, momentum, affine, *args, **kwargs)

        return init

    patch(_InstanceNorm, "__init__", make)


@breaks("instance-defaults")
def reset_leaves_the_bias(patch):
    """reset_parameters leaves the bias where it was."""

    def make(original):
        def reset(self):
            bias = self.bias.detach().clone() if getattr(self, "bias", None) is not None else None
            original(self)
            if bias is not None and not bias.is_meta:
                self.bias.data.copy_(bias)

        return reset

    patch(_NormBase, "reset_parameters", make)


@breaks("instance-prints-arguments")
def momentum_is_not_printed(patch):
    """The printed form leaves the momentum out."""
    patch(
        _NormBase,
        "extra_repr",
        lambda original: lambda self: original(self).replace(f"momentum={self.momentum}, ", ""),
    )


@breaks("instance-bias-off")
def bias_flag_ignored(patch):
    """bias=False is ignored."""

    def make(original):
        def init(self, *args, **kwargs):
            kwargs.pop("bias", None)
            original(self, *args, **kwargs)

        return init

    patch(_InstanceNorm, "__init__", make)


@breaks("instance-unbatched")
def output_keeps_the_batch_dimension(patch):
    """The output of an unbatched input keeps a batch dimension of one."""
    patch(
        _InstanceNorm,
        "_handle_no_batch_input",
        lambda original: lambda self, x: original(self, x).unsqueeze(0),
    )


@breaks("instance-empty-batch")
def empty_batch_gets_a_sample(patch):
    """An empty batch has an output of one sample."""

    def change(original, *, input, **rest):
        return (
            input.new_zeros((1, *input.shape[1:]), requires_grad=True)
            if not len(input)
            else original(input=input, **rest)
        )

    replace(patch, "instance_norm", change)


@breaks("instance-input-dimensions")
def any_number_of_dimensions(patch):
    """The number of dimensions is not checked."""
    for layer in (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d):
        patch(layer, "_check_input_dim", lambda original: lambda self, x: None)


@breaks("instance-one-element")
def one_element_is_accepted_from_two_samples(patch):
    """One element a channel is accepted where there are two samples."""
    patch(
        F,
        "_verify_spatial_size",
        lambda original: lambda size: None if size[0] > 1 and len(size) > 2 else original(size),
    )


@breaks("instance-one-element")
def running_statistics_move_before_the_check(patch):
    """The running mean moves before the size is checked."""

    def change(original, *, running_mean, **rest):
        if running_mean is not None and rest["use_input_stats"]:
            running_mean.data.add_(1.0)
        return original(running_mean=running_mean, **rest)

    replace(patch, "instance_norm", change)


@breaks("instance-channels-with-affine")
def error_names_the_wrong_dimension(patch):
    """The error about channels names the dimension after them."""

    def make(original):
        def forward(self, x):
            try:
                return original(self, x)
            except ValueError as error:
                raise ValueError(str(error).replace("dim=0", "dim=1").replace("match num", "be num")) from None

        return forward

    patch(_InstanceNorm, "forward", make)


@breaks("instance-old-checkpoint")
def old_statistics_are_dropped(patch):
    """Statistics of an old checkpoint that the layer has no place for are dropped without a word."""

    def make(original):
        def load(self, state_dict, prefix, local_metadata, *args):
            for name in ("running_mean", "running_var"):
                if local_metadata.get("version") is None and not self.track_running_stats:
                    state_dict.pop(prefix + name, None)
            original(self, state_dict, prefix, local_metadata, *args)

        return load

    patch(_InstanceNorm, "_load_from_state_dict", make)


@breaks("instance-empty-batch-with-affine")
def empty_batches_pass(patch):
    """An empty batch is returned as it is, as it should be."""

    def change(original, *, input, **rest):
        return original(input=input, **rest) if len(input) else input * 1

    replace(patch, "instance_norm", change)


@breaks("instance-channels-without-affine")
def other_channels_pass_in_silence(patch):
    """Another number of channels is not warned of."""

    def make(original):
        def forward(self, x):
            kept = self.num_features
            if not self.affine:
                self.num_features = x.shape[x.dim() - self._get_no_batch_dim()]
            try:
                return original(self, x)
            finally:
                self.num_features = kept

        return forward

    patch(_InstanceNorm, "forward", make)


@breaks("instance-momentum-none")
def momentum_none_is_a_tenth(patch):
    """momentum=None means the default."""

    def change(original, *, momentum, **rest):
        return original(momentum=momentum or 0.1, **rest)

    replace(patch, "instance_norm", change)
