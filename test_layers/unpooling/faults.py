"""How unpooling could be broken."""

import torch
from torch import nn

from torchclaims import breaks

F = nn.functional


def each(patch, alter):
    """Unpooling calls ``alter(dims, original, input, indices, kernel, stride, padding, output_size)``."""
    for dims in (1, 2, 3):

        def make(original, dims=dims):
            def unpool(input, indices, kernel_size, stride=None, padding=0, output_size=None):
                return alter(dims, original, input, indices, kernel_size, stride, padding, output_size)

            return unpool

        patch(F, f"max_unpool{dims}d", make)


@breaks("unpool-values", "unpool-gradients", "unpool-inverts-max-pool")
def indices_column_by_column(patch):
    """The last two indices are swapped."""

    def alter(dims, f, x, indices, *rest):
        return f(x, torch.cat([indices[..., :-2], indices[..., -2:].flip(-1)], -1), *rest)

    each(patch, alter)


@breaks("unpool-values", "unpool-inverts-max-pool")
def gaps_are_filled(patch):
    """What is not a maximum is 1e-6 instead of 0."""
    each(patch, lambda dims, f, x, *rest: f(x, *rest).clamp(min=1e-6) + f(x, *rest).clamp(max=0))


@breaks("unpool-gradients")
def gradient_of_the_plane_summed(patch):
    """The gradient is half of what it should be in three dimensions."""

    def alter(dims, f, x, *rest):
        return f(x.detach() + (x - x.detach()) / (2 if dims == 3 else 1), *rest)

    each(patch, alter)


@breaks("unpool-values")
def strided_indices_read_on(patch):
    """Indices with gaps are read as if they had none."""

    def alter(dims, f, x, indices, *rest):
        if not indices.is_contiguous():
            indices = indices.as_strided(indices.shape, torch.empty(indices.shape).stride())
        return f(x, indices, *rest)

    each(patch, alter)


@breaks("unpool-default-size")
def padding_taken_off_once(patch):
    """The default size takes the padding off once."""

    def alter(dims, f, x, indices, kernel, stride, padding, output_size):
        if output_size is None and max(padding):
            output_size = [
                (n - 1) * s - p + k for n, s, p, k in zip(x.shape[-dims:], stride, padding, kernel, strict=True)
            ]
        return f(x, indices, kernel, stride, padding, output_size)

    each(patch, alter)


@breaks("unpool-default-size")
def stride_of_one_by_default(patch):
    """The stride is 1 unless it is given."""

    def make(original):
        def __init__(self, kernel_size, stride=None, padding=0):
            original(self, kernel_size, 1 if stride is None else stride, padding)

        return __init__

    patch(nn.MaxUnpool2d, "__init__", make)


@breaks("unpool-output-size", "unpool-inverts-max-pool")
def output_size_ignored(patch):
    """output_size is checked, and cut to the default."""

    def alter(dims, f, x, indices, kernel, stride, padding, output_size):
        full = f(x, indices % 2, kernel, stride, padding, output_size)
        return full.narrow(-1, 0, min(full.shape[-1], (x.shape[-1] - 1) * stride[-1] - 2 * padding[-1] + kernel[-1]))

    each(patch, alter)


@breaks("unpool-output-size")
def a_stride_away_taken(patch):
    """An output_size that is a whole stride larger is brought back by one."""

    def alter(dims, f, x, indices, kernel, stride, padding, output_size):
        if output_size is not None and len(output_size) == dims:
            limits = [
                (n - 1) * s - 2 * p + k + s - 1
                for n, s, p, k in zip(x.shape[-dims:], stride, padding, kernel, strict=True)
            ]
            output_size = [min(one, limit) for one, limit in zip(output_size, limits, strict=True)]
        return f(x, indices, kernel, stride, padding, output_size)

    each(patch, alter)


@breaks("unpool-refused")
def indices_wrap_around(patch):
    """Indices outside of the output wrap around, and any whole number is taken."""

    def alter(dims, f, x, indices, kernel, stride, padding, output_size):
        indices = indices.long()[..., : x.shape[-1]]
        plane = 1
        for n, s, p, k in zip(x.shape[-dims:], stride, padding, kernel, strict=True):
            plane *= (n - 1) * s - 2 * p + k
        return f(x, indices % plane, kernel, stride, padding, output_size)

    each(patch, alter)
