"""How what test_max.py decides could be broken."""

import torch
from torch import nn

from test_layers.pooling.breaking import each_max, each_pool, regraded
from torchclaims import breaks


@breaks("maxpool-values", "avgpool-values", "pool-output-shape")
def ceil_mode_ignored(patch):
    """ceil_mode is ignored."""
    each_pool(patch, lambda dims, a: {"ceil_mode": False})


@breaks("maxpool-values", "avgpool-values", "pool-output-shape", "pool-stride-default")
def stride_of_one_axis(patch):
    """The first axis' stride is used for all axes."""
    each_pool(patch, lambda dims, a: {"stride": a["stride"][:1] * dims})


@breaks("maxpool-values", "avgpool-values")
def kernel_axes_swapped(patch):
    """Kernel height and width are swapped; a padding too large for that is cut."""

    def change(dims, a):
        kernel = a["kernel_size"][::-1]
        return {
            "kernel_size": kernel,
            "padding": tuple(min(p, k // 2) for p, k in zip(a["padding"], kernel, strict=False)),
        }

    each_pool(patch, change)


@breaks("maxpool-values")
def dilation_ignored(patch):
    """The dilation of max pooling is ignored in the last axis."""
    each_max(patch, lambda dims, original, x, a: original(x, **{**a, "dilation": (*a["dilation"][:-1], 1)}))


@breaks("maxpool-values", "maxpool-nan")
def padding_is_zero(patch):
    """Padding takes part as zeros, so that windows of negative numbers become 0."""

    def alter(dims, original, x, a):
        pads = [pad for pad in reversed(a["padding"]) for _ in range(2)]
        if not any(pads) or a["return_indices"] or a["ceil_mode"]:
            return original(x, **a)
        return original(nn.functional.pad(x, pads), **{**a, "padding": (0,) * dims})

    each_max(patch, alter)


@breaks("maxpool-values")
def padding_is_the_lowest_float16(patch):
    """Padding takes part as -1, not as minus infinity, where the input is negative all over."""

    def alter(dims, original, x, a):
        out = original(x, **a)
        return out.clamp(min=-1) if any(a["padding"]) and not a["return_indices"] else out

    each_max(patch, alter)


@breaks("maxpool-values")
def tail_column_lost(patch):
    """The last column of a wide input is not looked at."""

    def alter(dims, original, x, a):
        if x.shape[-1] > 16:
            x = torch.cat([x[..., :-1], torch.full_like(x[..., -1:], -torch.inf)], -1)
        return original(x, **a)

    each_max(patch, alter)


@breaks("maxpool-gradients")
def gradient_of_shared_maxima_overwritten(patch):
    """Where windows overlap, a maximum gets the gradient of one of them instead of the sum."""

    class Overwriting(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, dims, values, indices):
            ctx.save_for_backward(x, indices)
            ctx.dims = dims
            return values.clone()

        @staticmethod
        def backward(ctx, grad):
            x, indices = ctx.saved_tensors
            flat = torch.zeros_like(x, memory_format=torch.contiguous_format).flatten(-ctx.dims)
            flat = flat.scatter(-1, indices.flatten(-ctx.dims), grad.flatten(-ctx.dims))
            return flat.reshape(x.shape), None, None, None

    def alter(dims, original, x, a):
        if a["return_indices"]:
            return original(x, **a)
        return Overwriting.apply(x, dims, *original(x.detach(), **{**a, "return_indices": True}))

    each_max(patch, alter)


@breaks("maxpool-gradients")
def gradient_split_by_windows(patch):
    """The gradient is divided by the number of elements of a window, as for a mean."""

    def alter(dims, original, x, a):
        elements = torch.Size(a["kernel_size"]).numel()
        return original(x if a["return_indices"] else regraded(x, 1 / elements), **a)

    each_max(patch, alter)


@breaks("maxpool-gradients")
def gradient_lost_in_the_last_row(patch):
    """With ceil_mode, the gradient of the windows that reach beyond the input is lost."""

    def alter(dims, original, x, a):
        out = original(x, **a)
        if not a["ceil_mode"] or a["return_indices"]:
            return out
        inside = torch.ones_like(out)
        inside[..., -1] = 0
        return regraded(out, inside)

    each_max(patch, alter)


def _with_indices(patch, change):
    def alter(dims, original, x, a):
        if not a["return_indices"]:
            return original(x, **a)
        values, indices = original(x, **a)
        return values, change(dims, x, a, indices)

    each_max(patch, alter)


@breaks("maxpool-indices")
def indices_count_the_padding(patch):
    """Indices count the padding before the input."""
    _with_indices(patch, lambda dims, x, a, indices: indices + a["padding"][-1])


@breaks("maxpool-indices")
def indices_column_by_column(patch):
    """Indices count column by column instead of row by row."""

    def change(dims, x, a, indices):
        if dims == 1:
            return indices
        width, height = x.shape[-1], x.shape[-2]
        plane = indices // (width * height) * (width * height)
        return plane + indices % width * height + indices // width % height

    _with_indices(patch, change)


@breaks("maxpool-indices")
def indices_across_channels(patch):
    """Indices go on counting from channel to channel."""

    def change(dims, x, a, indices):
        numbers = torch.arange(indices.shape[-dims - 1], device=x.device) * x.shape[-dims:].numel()
        return indices + numbers.view(-1, *[1] * dims)

    _with_indices(patch, change)


@breaks("maxpool-indices")
def gradient_to_all_equals(patch):
    """The gradient of a tie goes to another element than the index names."""
    _with_indices(patch, lambda dims, x, a, indices: indices + (x.amax() == x.amin()).long())


@breaks("maxpool-nan")
def nan_loses(patch):
    """A NaN loses against every number."""
    each_max(
        patch,
        lambda dims, original, x, a: original(torch.nan_to_num(x, -torch.inf, torch.inf, -torch.inf), **a),
    )


@breaks("maxpool-nan")
def nan_wins_only_first(patch):
    """A NaN wins only where it comes first: comparisons with a later one are false."""

    def alter(dims, original, x, a):
        first = torch.zeros_like(x, dtype=torch.bool)
        first[(..., *[0] * dims)] = True
        return original(torch.where(torch.isnan(x) & ~first, torch.full_like(x, -torch.inf), x), **a)

    each_max(patch, alter)


@breaks("maxpool-nan")
def index_of_a_nan_is_the_first_of_the_window(patch):
    """Where a NaN is the maximum, the index is that of the plane's first number."""

    def alter(dims, x, a, indices):
        planes = x.flatten(-dims)
        named = planes.gather(-1, indices.flatten(-dims)).view(indices.shape)
        return torch.where(named.isnan(), torch.full_like(indices, 2), indices)

    _with_indices(patch, alter)


@breaks("maxpool-nan")
def starts_from_the_lowest_number(patch):
    """The search starts from the lowest finite number instead of minus infinity."""
    each_max(patch, lambda dims, original, x, a: original(x, **a).clamp(min=torch.finfo(x.dtype).min))


@breaks("maxpool-indices")
def indices_without_a_batch_across_channels(patch):
    """Without a batch, indices go on counting from channel to channel."""

    def alter(dims, original, x, a):
        out = original(x, **a)
        if x.dim() != dims + 1 or not a["return_indices"]:
            return out
        channels = torch.arange(x.shape[0], device=x.device).view(-1, *[1] * dims)
        return out[0], out[1] + channels * x[0].numel()

    each_max(patch, alter)
