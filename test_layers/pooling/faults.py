"""How pooling could be broken."""

import torch
from torch import nn

from torchclaims import breaks


def _each(value, dims):
    return (value,) * dims if isinstance(value, int) else tuple(value) * (dims if len(value) == 1 else 1)


def each_max(patch, alter):
    """Max pooling calls ``alter(dims, original, input, arguments)``; a dict, one value a dimension."""
    for dims in (1, 2, 3):

        def make(original, dims=dims):
            def max_pool(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
                stride = kernel_size if stride is None else stride
                axes = {
                    "kernel_size": kernel_size,
                    "stride": stride,
                    "padding": padding,
                    "dilation": dilation,
                }
                arguments = {key: _each(value, dims) for key, value in axes.items()}
                return alter(
                    dims,
                    original,
                    input,
                    {**arguments, "ceil_mode": ceil_mode, "return_indices": return_indices},
                )

            return max_pool

        patch(nn.functional, f"max_pool{dims}d", make)


def each_average(patch, alter):
    """Average pooling calls ``alter(dims, original, input, arguments)``; a dict, one value a dimension."""
    for dims in (1, 2, 3):

        def make(original, dims=dims):
            def avg_pool(
                input,
                kernel_size,
                stride=None,
                padding=0,
                ceil_mode=False,
                count_include_pad=True,
                divisor_override=None,
            ):
                stride = kernel_size if stride is None else stride
                axes = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
                arguments = {key: _each(value, dims) for key, value in axes.items()}
                arguments |= {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
                if dims > 1:
                    arguments["divisor_override"] = divisor_override
                return alter(dims, original, input, arguments)

            return avg_pool

        patch(nn.functional, f"avg_pool{dims}d", make)


def each_pool(patch, change):
    """All pooling calls the original with ``change(dims, arguments)``."""
    for each in (each_max, each_average):
        each(patch, lambda dims, original, x, a: original(x, **{**a, **change(dims, a)}))


def regraded(tensor, factor):
    """``tensor`` itself, whose gradient is multiplied by ``factor``."""
    return tensor.detach() + (tensor - tensor.detach()) * factor


@breaks("maxpool-values", "avgpool-values", "pool-output-shape")
def ceil_mode_ignored(patch):
    """ceil_mode is ignored."""
    each_pool(patch, lambda dims, a: {"ceil_mode": False})


@breaks("pool-output-shape")
def window_in_the_right_padding_kept(patch):
    """With ceil_mode, a window that starts in the padding after the input is kept."""

    def alter(dims, original, x, a):
        out = original(x, **a)
        for axis in range(dims):
            kernel, stride, pad = (a[key][axis] for key in ("kernel_size", "stride", "padding"))
            extent = a.get("dilation", (1,) * dims)[axis] * (kernel - 1) + 1
            size = x.shape[axis - dims]
            count = -(-(size + 2 * pad - extent) // stride) + 1
            if a["ceil_mode"] and (count - 1) * stride >= size + pad:
                out = torch.cat([out, out.narrow(axis - dims, 0, 1)], axis - dims)
        return out

    each_max(patch, alter)


@breaks("maxpool-values", "avgpool-values", "pool-output-shape", "pool-stride-default")
def stride_of_one_axis(patch):
    """The first axis' stride is used for all axes."""
    each_pool(patch, lambda dims, a: {"stride": a["stride"][:1] * dims})


@breaks("pool-stride-default", "pool-output-shape")
def stride_of_one(patch):
    """The stride is 1 where it equals the kernel size."""
    each_pool(patch, lambda dims, a: {"stride": (1,) * dims if a["stride"] == a["kernel_size"] else a["stride"]})


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
def starts_from_the_lowest_number(patch):
    """The search starts from the lowest finite number instead of minus infinity."""
    each_max(patch, lambda dims, original, x, a: original(x, **a).clamp(min=torch.finfo(x.dtype).min))


@breaks("pool-unbatched")
def unbatched_pools_the_wrong_axes(patch):
    """Without a batch the channels are reversed."""

    def alter(dims, original, x, a):
        return original(x.flip(0) if x.dim() == dims + 1 else x, **a)

    each_max(patch, alter)
    each_average(patch, alter)


@breaks("pool-unbatched")
def empty_batch_gets_a_sample(patch):
    """A batch of no samples has one sample of output."""

    def alter(dims, original, x, a):
        return original(x.new_zeros(1, *x.shape[1:]) if len(x) == 0 else x, **a)

    each_max(patch, alter)


@breaks("pool-refused")
def padding_cut(patch):
    """Padding beyond half the kernel is cut to half."""
    each_pool(
        patch,
        lambda dims, a: {
            "padding": tuple(min(p, k // 2) for p, k in zip(a["padding"], a["kernel_size"], strict=False))
        },
    )


@breaks("pool-refused")
def small_input_gets_a_small_kernel(patch):
    """A kernel larger than the input is cut to the input."""

    def alter(dims, original, x, a):
        kernel = tuple(
            min(k, s + 2 * p) for k, s, p in zip(a["kernel_size"], x.shape[-dims:], a["padding"], strict=False)
        )
        return original(x, **{**a, "kernel_size": kernel})

    each_average(patch, alter)


@breaks("avgpool-values")
def padding_counts_always(patch):
    """count_include_pad is ignored: padding always counts."""
    each_average(patch, lambda dims, original, x, a: original(x, **{**a, "count_include_pad": True}))


@breaks("avgpool-values", "avgpool-gradients")
def padding_counted_by_default_never(patch):
    """Padding never counts."""
    each_average(patch, lambda dims, original, x, a: original(x, **{**a, "count_include_pad": False}))


@breaks("avgpool-values")
def overhang_counts(patch):
    """With ceil_mode, elements beyond the padding count: each window is divided by the kernel's size."""

    def alter(dims, original, x, a):
        if not a["ceil_mode"] or not a["count_include_pad"] or dims == 1:
            return original(x, **a)
        return original(x, **{**a, "divisor_override": torch.Size(a["kernel_size"]).numel()})

    each_average(patch, alter)


@breaks("avgpool-values", "avgpool-gradients")
def divisor_override_ignored(patch):
    """divisor_override is ignored."""
    each_average(
        patch,
        lambda dims, original, x, a: original(x, **{**a, **({"divisor_override": None} if dims > 1 else {})}),
    )


@breaks("avgpool-values")
def mean_in_lower_precision(patch):
    """Means are taken in the next lower precision."""
    lower = {torch.float64: torch.float32, torch.float32: torch.bfloat16}
    each_average(patch, lambda dims, original, x, a: original(x.to(lower.get(x.dtype, x.dtype)).to(x.dtype), **a))


@breaks("avgpool-gradients")
def gradient_divided_by_the_kernel(patch):
    """The gradient is divided by the size of the kernel even where fewer elements count."""

    def alter(dims, original, x, a):
        if a["count_include_pad"]:
            return original(x, **a)
        wrong = original(x, **{**a, "count_include_pad": True})
        return original(x.detach(), **a) + wrong - wrong.detach()

    each_average(patch, alter)


@breaks("avgpool-gradients")
def gradient_lost_at_the_border(patch):
    """With padding, the last column of the input gets no gradient."""

    def alter(dims, original, x, a):
        inside = torch.ones_like(x)
        if a["padding"][-1]:
            inside[..., -1] = 0
        return original(regraded(x, inside), **a)

    each_average(patch, alter)


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


@breaks("pool-unbatched")
def padding_counts_without_a_batch(patch):
    """Without a batch, padding counts in means, whatever count_include_pad says."""

    def alter(dims, original, x, a):
        return original(x, **{**a, "count_include_pad": a["count_include_pad"] or x.dim() == dims + 1})

    each_average(patch, alter)


@breaks("avgpool-values")
def divisor_override_lost_with_ceil_mode(patch):
    """With ceil_mode, divisor_override is ignored."""

    def alter(dims, original, x, a):
        return original(x, **{**a, **({"divisor_override": None} if dims > 1 and a["ceil_mode"] else {})})

    each_average(patch, alter)
