"""How what test_flatten.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


@breaks("flatten-refused")
def ends_exchanged(patch):
    """A start_dim after end_dim is exchanged with it; dimensions beyond the last are the last."""

    def make(original):
        def flatten(self, start_dim=0, end_dim=-1):
            last = max(0, self.dim() - 1)
            start, end = (min(dim, last) % max(1, self.dim()) for dim in (start_dim, end_dim))
            return original(self, min(start, end), max(start, end))

        return flatten

    patch(torch.Tensor, "flatten", make)


@breaks("flatten-defaults")
def flattened_to_the_last_but_one(patch):
    """end_dim is -2 unless given."""

    def make(original):
        def __init__(self, start_dim=1, end_dim=-2):
            original(self, start_dim, end_dim)

        return __init__

    patch(nn.Flatten, "__init__", make)


@breaks("unflatten-formula")
def split_column_by_column(patch):
    """A dimension is split with the first of two sizes running fastest."""

    def make(original):
        def unflatten(self, dim, sizes):
            if len(sizes) != 2 or -1 in sizes:
                return original(self, dim, sizes)
            dim = dim % self.dim()
            return original(self, dim, sizes[::-1]).transpose(dim, dim + 1)

        return unflatten

    patch(torch.Tensor, "unflatten", make)


@breaks("unflatten-refused")
def sizes_converted(patch):
    """Sizes are converted to whole numbers, and a surplus is cut off."""

    def make(original):
        def __init__(self, dim, sizes):
            original(self, dim, tuple(int(size) for size in sizes) if isinstance(sizes, (tuple, list)) else (sizes,))

        return __init__

    patch(nn.Unflatten, "__init__", make)


@breaks("view-aliasing")
def detached_copy(patch):
    """detach copies."""
    patch(torch.Tensor, "detach", lambda original: lambda self: original(self).clone())


@breaks("view-aliasing")
def contiguous_always_copies(patch):
    """contiguous() copies what is contiguous."""
    patch(torch.Tensor, "contiguous", lambda original: lambda self, **more: original(self, **more).clone())


class PlainGradient(torch.autograd.Function):
    """The identity, whose backward pass copies its gradient into plain memory, or reads it upside down."""

    @staticmethod
    def forward(ctx, x, flip):
        ctx.flip = flip
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        if ctx.flip and not grad.is_contiguous():
            return grad.flip(1), None
        return grad.clone(memory_format=torch.contiguous_format), None


def with_plain_gradient(patch, flip):
    for name in ("batch_norm", "instance_norm", "group_norm"):

        def make(original):
            return lambda *args, **kwargs: PlainGradient.apply(original(*args, **kwargs), flip)

        patch(nn.functional, name, make)


@breaks("layout-of-normalised-gradients")
def gradient_copied_first(patch):
    """Mended: the gradient of a normalisation's output is copied into plain memory."""
    with_plain_gradient(patch, flip=False)


@breaks("layout-of-normalised-gradients")
def channels_last_gradient_misread(patch):
    """Channels of a gradient that is channels last are read in reverse."""
    with_plain_gradient(patch, flip=True)
