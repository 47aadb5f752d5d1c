"""How what test_shapes.py decides could be broken."""

import torch
from torch import nn

from test_layers.convolution.breaking import each_convolution
from torchclaims import breaks


@breaks("conv-output-shape")
def last_window_rounded_up(patch):
    """A last window that does not fit is computed all the same, with zeros."""

    def alter(dims, original, a):
        if isinstance(a["padding"], str):
            return original(**a)
        pads = []
        for axis in range(dims):
            extent = a["dilation"][axis] * (a["weight"].shape[axis - dims] - 1) + 1
            room = a["input"].shape[axis - dims] + 2 * a["padding"][axis] - extent
            pads = [0, -room % a["stride"][axis], *pads]
        return original(**{**a, "input": nn.functional.pad(a["input"], pads)})

    each_convolution(patch, alter)


@breaks("conv-parameter-shapes")
def weight_of_all_groups(patch):
    """Input and output channels change places in a grouped weight."""

    def broken(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.weight = nn.Parameter(self.weight.transpose(0, 1))

        return __init__

    patch(nn.modules.conv._ConvNd, "__init__", broken)


@breaks("conv-parameter-shapes")
def bias_kept(patch):
    """bias=False leaves a bias of zeros."""

    def broken(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            if self.bias is None:
                self.bias = nn.Parameter(torch.zeros_like(self.weight[:, 0].flatten(1)[:, 0]))

        return __init__

    patch(nn.modules.conv._ConvNd, "__init__", broken)


@breaks("conv-unbatched")
def unbatched_bias_lost(patch):
    """Without a batch the bias is left out."""

    def alter(dims, original, a):
        return original(**{**a, "bias": a["bias"] if a["input"].dim() == dims + 2 else None})

    each_convolution(patch, alter)


@breaks("conv-empty-batch")
def empty_batch_without_gradient(patch):
    """For a batch of no samples the parameters get no gradient at all."""

    def alter(dims, original, a):
        if a["input"].shape[0] == 0:
            a = {**a, "weight": a["weight"].detach(), "bias": a["bias"].detach()}
        return original(**a)

    each_convolution(patch, alter)
