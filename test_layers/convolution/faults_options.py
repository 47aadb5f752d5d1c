"""How what test_options.py and test_complex.py decide could be broken."""

import torch
from torch import nn

from test_layers.convolution.breaking import each_convolution
from torchclaims import breaks


def changed_arguments(patch, change):
    """Convolution layers are made with ``change(arguments)``; arguments are those of _ConvNd, by name."""
    names = (
        "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "transposed", "output_padding",
        "groups", "bias", "padding_mode",
    )  # fmt: skip

    def make(original):
        def __init__(self, *args, **kwargs):
            arguments = dict(zip(names, args, strict=False)) | kwargs
            change(arguments)
            original(self, **arguments)

        return __init__

    patch(nn.modules.conv._ConvNd, "__init__", make)


@breaks("conv-defaults")
def dilation_and_padding_exchanged(patch):
    """Arguments of padding and dilation change places where both are given as numbers above one."""

    def change(a):
        if isinstance(a["padding"], tuple) and min(a["padding"]) > 1:
            a["padding"], a["dilation"] = a["dilation"], a["padding"]

    changed_arguments(patch, change)


@breaks("conv-defaults")
def no_bias_by_default_in_three_dimensions(patch):
    """Conv3d has no bias."""
    changed_arguments(patch, lambda a: a.update(bias=a["bias"] and len(a["kernel_size"]) < 3))


@breaks("conv-repr")
def dilation_printed_only_with_padding(patch):
    """A layer without padding does not print its dilation and groups."""

    def make(original):
        def extra_repr(self):
            text = original(self)
            return text if "padding" in text else text.split(", groups")[0]

        return extra_repr

    patch(nn.modules.conv._ConvNd, "extra_repr", make)


@breaks("conv-repr")
def named_padding_not_printed(patch):
    """A padding given by name is not printed."""
    patch(
        nn.modules.conv._ConvNd,
        "extra_repr",
        lambda original: lambda self: original(self).replace(", padding=same", ""),
    )


@breaks("conv-lazy")
def channels_taken_from_the_last_dimension(patch):
    """A lazy convolution takes the size of the second dimension from behind for a single sample's channels."""

    def make(original):
        def get(self, input):
            return original(self, input) if input.dim() > len(self.kernel_size) + 1 else input.shape[-1] + 1

        return get

    patch(nn.modules.conv._LazyConvXdMixin, "_get_in_channels", make)


@breaks("conv-lazy")
def lazy_weight_left_at_zero(patch):
    """The parameters of a lazy convolution are materialised and not drawn."""

    def make(original):
        def initialize_parameters(self, *args, **kwargs):
            original(self, *args, **kwargs)
            with torch.no_grad():
                self.weight.zero_()

        return initialize_parameters

    patch(nn.modules.conv._LazyConvXdMixin, "initialize_parameters", make)


@breaks("conv-padding-mode-same")
def mode_pads_the_odd_one_first(patch):
    """With a padding mode, the odd element is put before the input."""

    def make(original):
        def pad(input, pad, mode="constant", value=None):
            swapped = [end for first, last in zip(pad[::2], pad[1::2], strict=True) for end in (last, first)]
            return original(input, pad if mode == "constant" else swapped, mode, value)

        return pad

    patch(nn.functional, "pad", make)


@breaks("conv-padding-mode-same")
def valid_pads_with_a_mode(patch):
    """A padding mode pads one column where padding is 'valid', and leaves it out again one column late."""

    def make(original):
        def pad(input, pad, mode="constant", value=None):
            if mode == "constant" or any(pad):
                return original(input, pad, mode, value)
            return original(input, [1, 0] + [0] * (len(pad) - 2), mode, value)[..., :-1]

        return pad

    patch(nn.functional, "pad", make)


@breaks("conv-geometry-refused")
def negative_padding_is_none(patch):
    """Negative padding is taken for none, a stride of zero for one."""

    def alter(dims, original, a):
        if not isinstance(a["padding"], str):
            a["padding"] = tuple(max(0, pad) for pad in a["padding"])
        a["stride"] = tuple(max(1, step) for step in a["stride"])
        return original(**a)

    each_convolution(patch, alter)


@breaks("conv-complex")
def kernel_conjugated(patch):
    """A complex convolution conjugates its kernel."""
    each_convolution(patch, lambda dims, original, a: original(**{**a, "weight": a["weight"].conj().resolve_conj()}))


@breaks("conv-complex")
def gradient_without_conjugation(patch):
    """The gradient of a complex weight is not conjugated."""

    class Unconjugated(torch.autograd.Function):
        @staticmethod
        def forward(ctx, weight):
            return weight.view_as(weight)

        @staticmethod
        def backward(ctx, grad):
            return grad.conj().resolve_conj()

    each_convolution(patch, lambda dims, original, a: original(**{**a, "weight": Unconjugated.apply(a["weight"])}))
