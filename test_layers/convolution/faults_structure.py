"""How what test_structure.py decides could be broken."""

from torch import nn

from test_layers.convolution.breaking import each_convolution
from torchclaims import breaks


@breaks("conv-cross-correlation")
def kernel_transposed(patch):
    """The kernel's last axis is taken backwards."""
    each_convolution(patch, lambda dims, original, a: original(**{**a, "weight": a["weight"].flip(-1)}))


@breaks("conv-groups-apart")
def groups_leak(patch):
    """Each output gets a thousandth of the other groups' inputs."""

    def alter(dims, original, a):
        out = original(**a)
        return out if a["groups"] == 1 else out + 1e-3 * out.flip(1)

    each_convolution(patch, alter)


@breaks("conv-padding-same")
def same_pads_the_odd_one_first(patch):
    """padding='same' puts the odd zero before the input instead of after it."""

    def alter(dims, original, a):
        if a["padding"] != "same":
            return original(**a)
        pads = []
        for axis in range(dims):
            total = a["dilation"][axis] * (a["weight"].shape[2 + axis] - 1)
            pads = [total - total // 2, total // 2, *pads]
        return original(**{**a, "input": nn.functional.pad(a["input"], pads), "padding": (0,) * dims})

    each_convolution(patch, alter)


@breaks("conv-padding-modes")
def reflection_repeats_the_border(patch):
    """'reflect' repeats the border, as 'replicate' does."""

    def broken(original):
        def pad(input, pad, mode="constant", value=None):
            return original(input, pad, "replicate" if mode == "reflect" else mode, value)

        return pad

    patch(nn.functional, "pad", broken)


@breaks("conv-padding-modes")
def padding_modes_swap_axes(patch):
    """A padding mode other than 'zeros' pads height by the width's padding."""

    def broken(original):
        def pad(input, pad, mode="constant", value=None):
            return original(input, pad[::-1] if mode == "circular" else pad, mode, value)

        return pad

    patch(nn.functional, "pad", broken)
