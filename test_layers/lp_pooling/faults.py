"""How power-average pooling could be broken."""

import torch
from torch import nn

from torchclaims import breaks

F = nn.functional


def each(patch, alter):
    """Power-average pooling calls ``alter(dims, original, input, power, kernel, stride, ceil_mode)``."""
    for dims in (1, 2, 3):

        def make(original, dims=dims):
            def pool(input, norm_type, kernel_size, stride=None, ceil_mode=False):
                return alter(dims, original, input, norm_type, kernel_size, stride, ceil_mode)

            return pool

        if hasattr(F, f"lp_pool{dims}d"):
            patch(F, f"lp_pool{dims}d", make)


@breaks("lppool-values")
def a_mean_of_powers(patch):
    """The root is taken of the mean of the powers instead of their sum."""

    def alter(dims, f, x, power, kernel, stride, ceil_mode):
        count = kernel**dims if isinstance(kernel, int) else torch.Size(kernel).numel()
        return f(x, power, kernel, stride, ceil_mode) / count ** (1 / power)

    each(patch, alter)


@breaks("lppool-values", "lppool-gradients")
def always_a_power_of_two(patch):
    """p is always 2, but for infinity."""

    def alter(dims, f, x, power, kernel, stride, ceil_mode):
        return f(x, power if power == float("inf") else 2.0, kernel, stride, ceil_mode)

    each(patch, alter)


@breaks("lppool-values")
def sums_of_absolute_values(patch):
    """With p = 1 absolute values are summed."""

    def alter(dims, f, x, power, kernel, stride, ceil_mode):
        return f(x.abs() if power == 1 else x, power, kernel, stride, ceil_mode)

    each(patch, alter)


@breaks("lppool-values", "lppool-output-shape")
def stride_ignored(patch):
    """The stride is always the kernel size."""
    each(patch, lambda dims, f, x, power, kernel, stride, ceil_mode: f(x, power, kernel, None, ceil_mode))


@breaks("lppool-gradients")
def gradient_at_zero_is_one(patch):
    """Where all is 0, the gradient is 1."""

    def alter(dims, f, x, power, kernel, stride, ceil_mode):
        out = f(x, power, kernel, stride, ceil_mode)
        return out + (x.sum() - x.sum().detach()) if x.numel() and bool((x == 0).all()) else out

    each(patch, alter)


@breaks("lppool-gradients")
def gradient_without_the_root(patch):
    """The gradient is p times too large."""

    def alter(dims, f, x, power, kernel, stride, ceil_mode):
        return f(x.detach() + (x - x.detach()) * min(power, 9), power, kernel, stride, ceil_mode)

    each(patch, alter)


@breaks("lppool-infinity")
def infinity_is_a_hundred(patch):
    """For p = infinity p = 30 is taken."""

    def alter(dims, f, x, power, kernel, stride, ceil_mode):
        return f(x.abs(), min(power, 30.0), kernel, stride, ceil_mode)

    each(patch, alter)


@breaks("lppool-infinity")
def maxima_with_their_signs(patch):
    """With p = infinity the maximum is taken with signs."""

    def alter(dims, f, x, power, kernel, stride, ceil_mode):
        return f(x.clamp(min=0) if power == float("inf") else x, power, kernel, stride, ceil_mode)

    each(patch, alter)


@breaks("lppool-ceil")
def overhang_summed_as_documented(patch):
    """Windows that reach beyond the input are summed over the elements that they have, as documented."""

    def alter(dims, f, x, power, kernel, stride, ceil_mode):
        if not ceil_mode:
            return f(x, power, kernel, stride, ceil_mode)
        kernels = (kernel,) * dims if isinstance(kernel, int) else tuple(kernel)
        if x.dtype == torch.float16:
            return f(x, power, kernel, stride, ceil_mode) * 3
        shape = f(x, power, kernel, stride, ceil_mode).shape
        out = f(F.pad(x, [pad for size in reversed(kernels) for pad in (0, size)]), power, kernel, stride, False)
        return out[tuple(slice(size) for size in shape)]

    each(patch, alter)


@breaks("lppool-output-shape")
def ceil_mode_ignored(patch):
    """ceil_mode is ignored."""
    each(patch, lambda dims, f, x, power, kernel, stride, ceil_mode: f(x, power, kernel, stride, False))
