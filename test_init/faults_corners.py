"""How what test_corners.py decides could be broken, or mended."""

import math

import torch
from torch import nn
from torch.nn import init

from test_init.breaking import then
from torchclaims import breaks


def around(change):
    return lambda original: lambda *args, **kwargs: change(original, *args, **kwargs)


@breaks("init-gain-identity")
def the_identity_is_linear(patch):
    """calculate_gain takes the identity for a linear function."""
    patch(
        init,
        "calculate_gain",
        around(lambda original, name, *more: original("linear" if name == "identity" else name, *more)),
    )


@breaks("init-sparse-notation")
def sparse_has_the_printed_variance(patch):
    """sparse_ draws with variance 0.01 by default."""
    patch(init, "sparse_", around(lambda original, tensor, sparsity, std=0.1: original(tensor, sparsity, std)))


@breaks("init-dirac-even")
def the_even_centre_is_the_one_before(patch):
    """dirac_ takes the earlier of the two elements in the middle of an even kernel."""

    @around
    def dirac_(original, tensor, groups=1):
        original(tensor, groups)
        with torch.no_grad():
            for axis in range(2, tensor.dim()):
                if tensor.size(axis) % 2 == 0:
                    tensor.copy_(tensor.roll(-1, axis))
        return tensor

    patch(init, "dirac_", dirac_)


@breaks("init-orthogonal-strided")
def orthogonal_of_a_copy(patch):
    """orthogonal_ fills a contiguous copy and copies it back."""

    @around
    def orthogonal_(original, tensor, *args, **kwargs):
        filled = original(tensor.detach().contiguous().clone(memory_format=torch.contiguous_format), *args, **kwargs)
        with torch.no_grad():
            tensor.copy_(filled)
        return tensor

    patch(init, "orthogonal_", orthogonal_)


@breaks("init-orthogonal-empty")
def nothing_becomes_another_tensor(patch):
    """orthogonal_ returns a new tensor where there is nothing to fill."""
    patch(
        init,
        "orthogonal_",
        around(lambda original, tensor, *args: original(tensor, *args) if tensor.numel() else tensor.clone()),
    )


@breaks("init-trunc-normal-rounded-bounds")
def bounds_are_kept_to_the_digit(patch):
    """trunc_normal_ moves a number beyond an unrounded bound inside, and in full precision to a thousandth outside."""

    @around
    def trunc_normal_(original, tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, **kwargs):
        original(tensor, mean, std, a, b, **kwargs)
        with torch.no_grad():
            if tensor.dtype in (torch.float32, torch.float64):
                return tensor.mul_(1.001)
            step = torch.finfo(tensor.dtype).eps
            tensor[tensor.double() > b] = math.floor(b / step * 2) * step / 2
            tensor[tensor.double() < a] = math.ceil(a / step * 2) * step / 2
        return tensor

    patch(init, "trunc_normal_", trunc_normal_)


@breaks("init-trunc-normal-far")
def the_far_tail_is_uniform(patch):
    """trunc_normal_ draws uniformly where little of the bell is left."""

    @around
    def trunc_normal_(original, tensor, mean=0.0, std=1.0, a=-2.0, b=2.0):
        left = math.erf((b - mean) / std / math.sqrt(2)) / 2 - math.erf((a - mean) / std / math.sqrt(2)) / 2
        return tensor.uniform_(a, b) if left < 0.2 else original(tensor, mean, std, a, b)

    patch(init, "trunc_normal_", trunc_normal_)


@breaks("init-generator")
def the_generator_is_dropped(patch):
    """kaiming_normal_ and the tail of trunc_normal_ draw from the default generator."""

    @around
    def normal_(original, tensor, *args, generator=None, **kwargs):
        return original(tensor, *args, **kwargs)

    for name in ("kaiming_normal_", "xavier_uniform_"):
        patch(init, name, normal_)


@breaks("init-generator")
def the_generator_is_copied(patch):
    """orthogonal_ draws from a copy of the generator, which stays where it was."""

    @around
    def orthogonal_(original, tensor, *args, generator=None, **kwargs):
        copy = torch.Generator(generator.device)
        copy.set_state(generator.get_state())
        return original(tensor, *args, generator=copy, **kwargs)

    patch(init, "orthogonal_", orthogonal_)


@breaks("init-generator-sparse")
def sparse_draws_its_rows_from_the_generator(patch):
    """sparse_ draws its zeros, too, from the generator."""

    @around
    def sparse_(original, tensor, sparsity, std=0.01, generator=None):
        zeros = math.ceil(sparsity * tensor.size(0))
        with torch.no_grad():
            tensor.normal_(0, std, generator=generator)
            for column in range(tensor.size(1)):
                tensor[torch.randperm(tensor.size(0), generator=generator)[:zeros], column] = 0
        return tensor

    patch(init, "sparse_", sparse_)


@breaks("init-deprecated")
def an_old_name_is_silent(patch):
    """nn.init.normal is normal_."""
    patch(init, "normal", lambda original: init.normal_)


@breaks("init-deprecated")
def an_old_name_forgets_its_options(patch):
    """nn.init.sparse has a sparsity of its own."""
    patch(init, "sparse", around(lambda original, tensor, sparsity: original(tensor, 0.3)))


@breaks("init-no-elements")
def nothing_is_warned_of(patch):
    """xavier_normal_ does not return a tensor without elements itself."""
    patch(
        init, "xavier_normal_", around(lambda original, tensor: original(tensor) if tensor.numel() else tensor.clone())
    )


@breaks("init-zero-elements")
def only_the_first_size_is_looked_at(patch):
    """kaiming_uniform_ looks only for a first size of zero, and copies others."""

    @around
    def kaiming_uniform_(original, tensor, **kwargs):
        return original(tensor, **kwargs) if len(tensor) == 0 or tensor.numel() else tensor.clone()

    patch(init, "kaiming_uniform_", kaiming_uniform_)


@breaks("init-transposed")
def the_fans_are_those_of_the_storage(patch):
    """Fans are taken from the order in which a matrix lies in memory."""

    @around
    def fans(original, tensor):
        return original(tensor if tensor.is_contiguous() else tensor.T)

    patch(init, "_calculate_fan_in_and_fan_out", fans)


@breaks("init-eye-identity")
def eye_is_reversed_where_it_is_wide(patch):
    """eye_ keeps the last inputs of a wide matrix."""
    patch(
        init, "eye_", then(lambda tensor: tensor.copy_(tensor.flip(0, 1)) if tensor.size(1) > tensor.size(0) else None)
    )


@breaks("init-skip-refuses")
def skip_init_makes_what_it_can(patch):
    """skip_init makes a module in the ordinary way where that takes no device."""

    @around
    def skip_init(original, kind, *args, **kwargs):
        return kind(*args, **kwargs)

    patch(nn.utils, "skip_init", skip_init)


@breaks("init-in-place")
def options_are_dropped_on_the_way(patch):
    """A class that overrides kaiming_uniform_ does not get the mode."""

    @around
    def kaiming_uniform_(original, tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", **kwargs):
        return original(tensor, a, "fan_in", nonlinearity, **kwargs)

    patch(init, "kaiming_uniform_", kaiming_uniform_)
