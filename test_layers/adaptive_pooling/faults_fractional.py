"""How what test_fractional.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks

F = nn.functional


def altered(patch, alter):
    """Fractional pooling calls ``alter(dims, original, input, kernel, sizes, ratio, return_indices)``."""
    for dims in (2, 3):

        def make(original, dims=dims):
            def pool(
                input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
            ):
                return alter(dims, original, input, kernel_size, output_size, output_ratio, return_indices)

            return pool

        patch(F, f"fractional_max_pool{dims}d", make)


@breaks("fractional-windows")
def windows_are_regular(patch):
    """Windows have the same places in all samples, channels and calls."""

    def alter(dims, f, x, kernel, sizes, ratio, indices):
        samples = torch.full((x.shape[0], x.shape[1], dims), 0.5, dtype=x.dtype, device=x.device)
        if x.dim() == dims + 1:
            return f(x, kernel, sizes, ratio, indices)
        return f(x, kernel, sizes, ratio, indices, _random_samples=samples)

    altered(patch, alter)


@breaks("fractional-windows")
def channels_share_windows(patch):
    """All channels of a sample have the same windows."""

    def alter(dims, f, x, kernel, sizes, ratio, indices):
        if x.dim() == dims + 1:
            return f(x, kernel, sizes, ratio, indices)
        samples = torch.rand(x.shape[0], 1, dims, dtype=x.dtype, device=x.device)
        return f(x, kernel, sizes, ratio, indices, _random_samples=samples.expand(-1, x.shape[1], -1).contiguous())

    altered(patch, alter)


@breaks("fractional-windows")
def the_end_is_never_reached(patch):
    """The last column of the input is not looked at."""

    def alter(dims, f, x, kernel, sizes, ratio, indices):
        return f(torch.cat([x[..., :-1], x[..., -2:-1]], -1), kernel, sizes, ratio, indices)

    altered(patch, alter)


@breaks("fractional-windows")
def windows_too_small(patch):
    """The kernel is one smaller in the first axis."""

    def alter(dims, f, x, kernel, sizes, ratio, indices):
        kernel = (kernel,) * dims if isinstance(kernel, int) else tuple(kernel)
        out = f(x, (max(1, kernel[0] - 1), *kernel[1:]), sizes, ratio, indices)
        return (out[0], out[1] + x.shape[-1]) if indices and kernel[0] > 1 else out

    altered(patch, alter)


@breaks("fractional-indices")
def indices_of_the_next_column(patch):
    """Indices name the next element."""

    def alter(dims, f, x, kernel, sizes, ratio, indices):
        out = f(x, kernel, sizes, ratio, indices)
        last = torch.Size(x.shape[-dims:]).numel() - 1
        return (out[0], (out[1] + 1).clamp(max=last)) if indices else out

    altered(patch, alter)


@breaks("fractional-indices")
def gradient_lost_without_a_batch(patch):
    """Without a batch the gradient is lost by half."""

    def alter(dims, f, x, kernel, sizes, ratio, indices):
        if x.dim() == dims + 1:
            x = x.detach() + (x - x.detach()) / 2
        return f(x, kernel, sizes, ratio, indices)

    altered(patch, alter)


@breaks("fractional-output-size")
def ratio_rounded_up(patch):
    """output_ratio times the size is rounded to the nearest."""

    def alter(dims, f, x, kernel, sizes, ratio, indices):
        if sizes is None:
            sizes, ratio = [round(r * s) for r, s in zip(ratio, x.shape[-dims:], strict=True)], None
        return f(x, kernel, sizes, ratio, indices)

    altered(patch, alter)


@breaks("fractional-output-size")
def one_less_than_fits(patch):
    """An output of which as many windows as fit are asked for is one smaller."""

    def alter(dims, f, x, kernel, sizes, ratio, indices):
        if sizes is not None:
            room = [s - k + 1 for s, k in zip(x.shape[-dims:], kernel, strict=True)]
            sizes = [min(s, r - 1) if r > 2 else s for s, r in zip(sizes, room, strict=True)]
        return f(x, kernel, sizes, ratio, indices)

    altered(patch, alter)


def lenient(patch, kind, change):
    def make(original):
        def __init__(
            self, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
        ):
            original(self, *change(kernel_size, output_size, output_ratio), return_indices, _random_samples)

        return __init__

    patch(kind, "__init__", make)


@breaks("fractional-refused")
def size_goes_before_ratio(patch):
    """With both, output_size counts and output_ratio is ignored."""
    for kind in (nn.FractionalMaxPool2d, nn.FractionalMaxPool3d):
        lenient(patch, kind, lambda kernel, size, ratio: (kernel, size, None if size is not None else ratio))


@breaks("fractional-refused")
def last_ratio_unchecked(patch):
    """In three dimensions only the first two ratios are checked."""

    def change(kernel, size, ratio):
        return kernel, size, (*ratio[:2], 0.5) if isinstance(ratio, tuple) else ratio

    lenient(patch, nn.FractionalMaxPool3d, change)


@breaks("fractional-kernel-refused")
def kernels_of_zero_are_one(patch):
    """In three dimensions a kernel of 0 in the middle counts as 1."""

    def change(kernel, size, ratio):
        return (kernel[0], kernel[1] or 1, kernel[2]) if isinstance(kernel, tuple) else kernel, size, ratio

    lenient(patch, nn.FractionalMaxPool3d, change)
