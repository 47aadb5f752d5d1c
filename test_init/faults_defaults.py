"""How what test_defaults.py decides could be broken."""

import math

import torch
from torch import nn
from torch.nn import init

from test_init.breaking import CONVOLUTION, KAIMING, XAVIER, then
from torchclaims import breaks

NORMALISATION = nn.modules.batchnorm._NormBase


@breaks("init-conv-weight", "init-conv-bias", *XAVIER, *KAIMING)
def fans_count_one_side_of_the_kernel(patch):
    """Of a kernel's sizes only the last one counts in the fans."""

    def broken(original):
        def fans(tensor):
            original(tensor)
            size = tensor.size(-1) if tensor.dim() > 2 else 1
            return tensor.size(1) * size, tensor.size(0) * size

        return fans

    patch(init, "_calculate_fan_in_and_fan_out", broken)


@breaks("init-conv-weight", "init-linear-default", "init-gain", "init-kaiming-uniform", "init-kaiming-normal")
def the_slope_of_leaky_relu_is_ignored(patch):
    """calculate_gain takes the default slope whatever is given."""
    patch(init, "calculate_gain", lambda original: lambda name, param=None: original(name))


@breaks("init-conv-bias")
def bias_of_convolutions_is_zero(patch):
    """A convolution's bias starts at zero."""
    patch(CONVOLUTION, "reset_parameters", then(lambda conv: conv.bias is not None and conv.bias.zero_()))


@breaks("init-conv-bias")
def bias_of_convolutions_is_drawn_by_fan_out(patch):
    """A convolution's bias is drawn by the weight's fan_out."""

    def redraw(conv):
        if conv.bias is not None:
            bound = 1 / math.sqrt(init._calculate_fan_in_and_fan_out(conv.weight)[1])
            conv.bias.uniform_(-bound, bound)

    patch(CONVOLUTION, "reset_parameters", then(redraw))


@breaks("init-conv-bias", "init-conv-weight")
def groups_are_forgotten_in_convolutions(patch):
    """k has no factor groups: the bound is that of a convolution over all input channels."""

    def rescale(conv):
        for parameter in conv.parameters():
            parameter.div_(math.sqrt(conv.groups))

    patch(CONVOLUTION, "reset_parameters", then(rescale))


@breaks("init-linear-default")
def linear_is_drawn_by_kaiming_with_slope_zero(patch):
    """Linear's weight is too wide by sqrt(3)."""
    patch(nn.Linear, "reset_parameters", then(lambda linear: linear.weight.mul_(math.sqrt(3))))


@breaks("init-linear-default")
def bias_of_linear_is_positive(patch):
    """Linear's bias is drawn from U(0, bound)."""
    patch(nn.Linear, "reset_parameters", then(lambda linear: linear.bias.abs_()))


@breaks("init-linear-default")
def linear_is_drawn_normally(patch):
    """Linear's weight is normal, with the right variance."""
    patch(
        nn.Linear,
        "reset_parameters",
        then(lambda linear: linear.weight.normal_(0, (3 * linear.in_features) ** -0.5)),
    )


@breaks("init-batchnorm-default")
def weight_of_normalisation_is_drawn(patch):
    """The weight of batch normalisation is drawn from U(0, 1), as before PyTorch 1.2."""
    patch(NORMALISATION, "reset_parameters", then(lambda norm: norm.weight.uniform_()))


@breaks("init-batchnorm-default")
def reset_leaves_the_running_statistics(patch):
    """reset_parameters resets weight and bias, but not the running statistics."""
    patch(NORMALISATION, "reset_running_stats", lambda original: lambda norm: None)


@breaks("init-batchnorm-default")
def running_variance_starts_at_zero(patch):
    """running_var starts at zero, as running_mean does."""
    patch(NORMALISATION, "reset_running_stats", then(lambda norm: norm.running_var.zero_()))


@breaks("init-seed")
def the_seed_does_not_reach_biases(patch):
    """Values come from a generator that manual_seed does not seed."""
    generators = {}

    def broken(original):
        def uniform_(tensor, a=0.0, b=1.0):
            generator = generators.setdefault(tensor.device, torch.Generator(tensor.device))
            with torch.no_grad():
                return tensor.uniform_(a, b, generator=generator)

        return uniform_

    patch(init, "uniform_", broken)


@breaks("init-skip")
def skip_init_draws_and_forgets(patch):
    """skip_init draws numbers before it forgets them."""

    def broken(original):
        def skip_init(module_class, *args, **kwargs):
            module_class(*args, **kwargs)
            return original(module_class, *args, **kwargs)

        return skip_init

    patch(nn.utils, "skip_init", broken)
