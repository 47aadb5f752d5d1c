"""How strides of dimensions of one element could be mistaken, and how PyTorch's mistake could be mended."""

import torch
from torch import nn

from torchclaims import breaks


def with_plain(patch, make_plain):
    """Convolutions see their input and weight as ``make_plain(tensor)``."""

    def make(original):
        def broken(input, weight, *args, **kwargs):
            return original(make_plain(input), make_plain(weight), *args, **kwargs)

        return broken

    for name in ("conv2d", "conv3d"):
        patch(nn.functional, name, make)


@breaks("conv-strides-of-one", "conv-strides-of-one-gradients")
def strides_made_plain(patch):
    """Mended: a convolution copies what is not contiguous before it looks at strides."""
    with_plain(patch, lambda x: x.contiguous().clone(memory_format=torch.contiguous_format))


@breaks("conv-strides-of-one", "conv-strides-of-one-gradients")
def turned_kernel_read_unturned(patch):
    """A weight whose last stride is not that of channels last is read in another order."""

    def misread(x):
        return x.flip(2) if x.shape[-1] == 1 and x.stride(-1) != x.shape[1] and not x.is_contiguous() else x

    with_plain(patch, misread)
