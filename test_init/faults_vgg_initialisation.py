"""How what test_vgg_initialisation.py decides could be broken."""

import math

import torch
from torch import nn
from torch.nn import init

from test_init.breaking import CONVOLUTION, KAIMING, with_options
from torchclaims import breaks


@breaks(*KAIMING, "init-vgg-conv-kaiming")
def kaiming_ignores_its_mode(patch):
    """Kaiming takes fan_in in either mode."""
    for name in ("kaiming_uniform_", "kaiming_normal_"):
        patch(init, name, with_options(mode=lambda mode: "fan_in"))


@breaks("init-vgg-conv", "init-vgg-linear")
def a_tensor_takes_a_variance(patch):
    """Tensor.normal_ takes its std for a variance."""

    def broken(original):
        def normal_(tensor, mean=0, std=1, **kwargs):
            return original(tensor, mean, math.sqrt(std), **kwargs)

        return normal_

    patch(torch.Tensor, "normal_", broken)


@breaks(
    "init-vgg-conv",
    "init-vgg-linear",
    "init-vgg-conv-bias",
    "init-vgg-linear-bias",
    "init-vgg-batchnorm",
    "init-data-wrong-gradient",
)
def data_is_a_copy(patch):
    """.data is a copy, so that what is filled into it is lost."""
    patch(
        torch.Tensor,
        "data",
        lambda original: property(lambda tensor: original.__get__(tensor).clone(), original.__set__),
    )


@breaks("init-vgg-conv", "init-vgg-conv-kaiming")
def convolutions_misstate_their_channels(patch):
    """out_channels of a convolution is its in_channels."""

    def broken(original):
        def __init__(conv, *args, **kwargs):
            original(conv, *args, **kwargs)
            conv.out_channels = conv.in_channels

        return __init__

    patch(CONVOLUTION, "__init__", broken)


@breaks("init-vgg-batchnorm")
def fill_truncates(patch):
    """fill_ takes whole numbers only."""
    patch(torch.Tensor, "fill_", lambda original: lambda tensor, value: original(tensor, int(value)))


@breaks("init-vgg-batchnorm1d")
def one_normalisation_is_another(patch):
    """BatchNorm1d is derived from BatchNorm2d."""
    patch(
        nn,
        "BatchNorm1d",
        lambda original: type("BatchNorm1d", (nn.BatchNorm2d,), {"_check_input_dim": original._check_input_dim}),
    )


@breaks("init-leaf-error")
def leaves_are_filled_unrecorded(patch):
    """normal_ on a parameter is carried out without a record."""

    def broken(original):
        def normal_(tensor, *args, **kwargs):
            with torch.no_grad():
                return original(tensor, *args, **kwargs)

        return normal_

    patch(torch.Tensor, "normal_", broken)


@breaks("init-leaf-error")
def the_error_comes_too_late(patch):
    """zero_ on a parameter sets it to zero and then raises."""

    def broken(original):
        def zero_(tensor):
            original(tensor.data)
            return original(tensor)

        return zero_

    patch(torch.Tensor, "zero_", broken)


@breaks("init-no-grad-suffices")
def no_grad_draws_other_numbers(patch):
    """normal_ draws twice where the parameter requires a gradient."""

    def broken(original):
        def normal_(tensor, *args, **kwargs):
            result = original(tensor, *args, **kwargs)
            return original(tensor, *args, **kwargs) if tensor.requires_grad else result

        return normal_

    patch(torch.Tensor, "normal_", broken)


@breaks("init-data-version")
def data_shares_the_version_counter(patch):
    """.data counts changes of the tensor as detach() does."""
    patch(torch.Tensor, "data", lambda original: property(lambda tensor: tensor.detach(), original.__set__))


@breaks("init-data-wrong-gradient")
def a_fill_under_no_grad_is_not_seen(patch):
    """fill_ under no_grad does not count as a change."""

    def broken(original):
        def fill_(tensor, value):
            original(tensor.data, value)
            return tensor

        return fill_

    patch(torch.Tensor, "fill_", broken)
