"""How convolution could be broken."""

import torch
from torch import nn

from torchclaims import breaks


def each_convolution(patch, alter):
    """Convolutions call ``alter(dims, original, arguments)``; arguments is a dict, one value a dimension."""
    for dims, name in ((1, "conv1d"), (2, "conv2d"), (3, "conv3d")):

        def make(original, dims=dims):
            def broken(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
                arguments = {"input": input, "weight": weight, "bias": bias, "groups": groups}
                for key, value in (("stride", stride), ("padding", padding), ("dilation", dilation)):
                    arguments[key] = value if isinstance(value, str) else tuple(value) * (1 if len(value) > 1 else dims)
                return alter(dims, original, arguments)

            def spread(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
                each = [(v,) * dims if isinstance(v, int) else v for v in (stride, padding, dilation)]
                return broken(input, weight, bias, *each, groups)

            return spread

        patch(nn.functional, name, make)


def regraded(tensor, factor):
    """``tensor`` itself, whose gradient is multiplied by ``factor``."""
    return tensor.detach() + (tensor - tensor.detach()) * factor


@breaks("conv-formula", "conv-cross-correlation")
def flipped_kernel(patch):
    """The kernel is flipped, as in a convolution of the textbooks."""
    each_convolution(
        patch,
        lambda dims, original, a: original(**{**a, "weight": a["weight"].flip(*range(-dims, 0))}),
    )


@breaks("conv-cross-correlation")
def kernel_transposed(patch):
    """The kernel's last axis is taken backwards."""
    each_convolution(patch, lambda dims, original, a: original(**{**a, "weight": a["weight"].flip(-1)}))


@breaks("conv-formula", "conv-output-shape")
def stride_of_one_axis(patch):
    """The first axis' stride is used for all axes."""
    each_convolution(patch, lambda dims, original, a: original(**{**a, "stride": a["stride"][:1] * dims}))


@breaks("conv-formula", "conv-output-shape", "conv-unbatched", "conv-empty-batch")
def stride_ignored(patch):
    """The stride is ignored."""
    each_convolution(patch, lambda dims, original, a: original(**{**a, "stride": (1,) * dims}))


def _reversed(value):
    return value if isinstance(value, str) else value[::-1]


@breaks("conv-formula", "conv-output-shape")
def padding_axes_swapped(patch):
    """The padding of height and width is swapped."""
    each_convolution(patch, lambda dims, original, a: original(**{**a, "padding": _reversed(a["padding"])}))


@breaks("conv-formula", "conv-padding-same")
def dilation_axes_swapped(patch):
    """The dilation of height and width is swapped."""
    each_convolution(patch, lambda dims, original, a: original(**{**a, "dilation": a["dilation"][::-1]}))


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


@breaks("conv-formula", "conv-gradients")
def float32_in_lower_precision(patch):
    """Products are taken in the next lower precision, as a careless fast path would."""
    lower = {torch.float64: torch.float32, torch.float32: torch.bfloat16}

    def alter(dims, original, a):
        dtype = a["input"].dtype
        rough = {k: a[k].to(lower.get(dtype, dtype)).to(dtype) for k in ("input", "weight")}
        return original(**{**a, **rough})

    each_convolution(patch, alter)


@breaks("conv-formula")
def bias_of_the_last_channels_lost(patch):
    """Output channels beyond the sixteenth, a vector's tail, get no bias."""

    def alter(dims, original, a):
        if a["bias"] is not None:
            a["bias"] = torch.cat([a["bias"][:16], torch.zeros_like(a["bias"][16:])])
        return original(**a)

    each_convolution(patch, alter)


@breaks("conv-formula")
def strided_pointwise_path(patch):
    """The fast path for 1 x 1 kernels starts at the last element of each stride instead of the first."""

    def alter(dims, original, a):
        if set(a["weight"].shape[2:]) == {1} and not any(a["padding"]):
            ends = [
                slice(step - 1 if size % step == 0 else 0, None, step)
                for step, size in zip(a["stride"], a["input"].shape[2:], strict=False)
            ]
            a = {**a, "input": a["input"][(..., *ends)], "stride": (1,) * dims}
        return original(**a)

    each_convolution(patch, alter)


@breaks("conv-formula", "conv-gradients")
def dilated_depthwise_path(patch):
    """The fast path for depthwise convolution is a column off where columns are dilated."""

    def alter(dims, original, a):
        out = original(**a)
        return out.roll(1, -1) if a["groups"] == a["input"].shape[1] > 1 and a["dilation"][-1] > 1 else out

    each_convolution(patch, alter)


@breaks("conv-formula")
def bias_of_the_last_samples_lost(patch):
    """Samples beyond the sixteenth get no bias."""

    def alter(dims, original, a):
        out = original(**a)
        if a["bias"] is None or len(a["input"]) <= 16:
            return out
        return torch.cat([out[:16], original(**{**a, "bias": None})[16:]])

    each_convolution(patch, alter)


@breaks("conv-formula", "conv-unbatched")
def padded_with_the_border(patch):
    """Padding repeats the border of the input instead of being zero."""

    def alter(dims, original, a):
        if isinstance(a["padding"], str) or not any(a["padding"]) or a["input"].numel() == 0:
            return original(**a)
        pads = [pad for pad in reversed(a["padding"]) for _ in range(2)]
        return original(**{**a, "input": nn.functional.pad(a["input"], pads, mode="replicate"), "padding": (0,) * dims})

    each_convolution(patch, alter)


@breaks("conv-formula", "conv-groups-apart", "conv-gradients")
def groups_interleaved(patch):
    """Input channels are dealt out to the groups one by one instead of in blocks."""

    def alter(dims, original, a):
        split = a["input"].unflatten(1, (-1, a["groups"])) if a["groups"] > 1 else a["input"][:, :, None]
        return original(**{**a, "input": split.transpose(1, 2).flatten(1, 2)})

    each_convolution(patch, alter)


@breaks("conv-groups-apart")
def groups_leak(patch):
    """Each output gets a thousandth of the other groups' inputs."""

    def alter(dims, original, a):
        out = original(**a)
        return out if a["groups"] == 1 else out + 1e-3 * out.flip(1)

    each_convolution(patch, alter)


@breaks("conv-gradients")
def weight_gradient_averaged(patch):
    """The weight's gradient is the mean over the batch, not the sum."""
    each_convolution(
        patch,
        lambda dims, original, a: original(**{**a, "weight": regraded(a["weight"], 1 / len(a["input"]))}),
    )


@breaks("conv-gradients")
def weight_gradient_off_at_the_last_tap(patch):
    """The gradient of the kernel's last column misses the last sample."""

    def alter(dims, original, a):
        out = original(**a)
        if a["weight"].shape[-1] < 2 or len(a["input"]) < 2:
            return out
        last = torch.zeros_like(a["weight"])
        last[..., -1] = 1
        weight = regraded(a["weight"], 1 - last)
        return torch.cat(
            [
                original(**{**a, "input": a["input"][:-1]}),
                original(**{**a, "input": a["input"][-1:], "weight": weight}),
            ]
        )

    each_convolution(patch, alter)


@breaks("conv-gradients")
def input_gradient_lost_at_the_border(patch):
    """With padding, the gradient of the input's last column is lost."""

    def alter(dims, original, a):
        if isinstance(a["padding"], tuple) and a["padding"][-1]:
            inside = torch.ones_like(a["input"])
            inside[..., -1] = 0
            a["input"] = regraded(a["input"], inside)
        return original(**a)

    each_convolution(patch, alter)


@breaks("conv-gradients")
def bias_gradient_of_one_sample(patch):
    """The bias' gradient is that of the first sample alone."""

    def alter(dims, original, a):
        out = original(**a)
        if a["bias"] is None or len(a["input"]) < 2:
            return out
        rest = original(**{**a, "input": a["input"][1:], "bias": a["bias"].detach()})
        return torch.cat([out[:1], rest])

    each_convolution(patch, alter)


@breaks("conv-gradients")
def input_gradient_of_depthwise_doubled(patch):
    """The gradient of a depthwise convolution's input is added up twice."""

    def alter(dims, original, a):
        if a["groups"] == a["input"].shape[1] > 1:
            a["input"] = regraded(a["input"], 2)
        return original(**a)

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


@breaks("conv-input-refused")
def further_channels_ignored(patch):
    """Channels beyond those of the weight are ignored."""

    def alter(dims, original, a):
        if a["input"].dim() == dims + 2:
            a["input"] = a["input"][:, : a["weight"].shape[1] * a["groups"]]
        return original(**a)

    each_convolution(patch, alter)


@breaks("conv-input-refused")
def small_input_padded(patch):
    """An input smaller than the kernel is padded until it fits."""

    def alter(dims, original, a):
        missing = [max(0, k - s) for k, s in zip(a["weight"].shape[2:], a["input"].shape[2:], strict=False)]
        pads = [pad for lack in reversed(missing) for pad in (0, lack)]
        return original(**{**a, "input": nn.functional.pad(a["input"], pads)})

    each_convolution(patch, alter)


def _lenient_constructor(patch, mend):
    def broken(original):
        def __init__(self, *args, **kwargs):
            mend(kwargs)
            original(self, *args, **kwargs)

        return __init__

    patch(nn.Conv2d, "__init__", broken)


@breaks("conv-arguments-refused")
def groups_below_one(patch):
    """groups=0 is taken for 1."""
    _lenient_constructor(patch, lambda kwargs: kwargs.update(groups=max(1, kwargs.get("groups", 1))))


@breaks("conv-arguments-refused")
def unknown_padding_mode(patch):
    """A padding mode of an unknown name is taken for zeros."""
    known = ("zeros", "reflect", "replicate", "circular")
    _lenient_constructor(
        patch,
        lambda kwargs: kwargs.get("padding_mode", "zeros") in known or kwargs.update(padding_mode="zeros"),
    )


@breaks("conv-padding-same-strided")
def same_with_a_stride_in_one_axis(patch):
    """padding='same' is refused only where both strides differ from 1."""

    def broken(original):
        def __init__(self, *args, stride=1, padding=0, **kwargs):
            one_axis = padding == "same" and isinstance(stride, tuple) and 1 in stride
            original(self, *args, stride=1 if one_axis else stride, padding=padding, **kwargs)

        return __init__

    patch(nn.Conv2d, "__init__", broken)


@breaks("conv-formula", "conv-gradients")
def strided_depthwise_misses_a_tap(patch):
    """Depthwise, strided and padded, the last column of the output misses the kernel's last tap."""

    def alter(dims, original, a):
        out = original(**a)
        if a["weight"].shape[1] > 1 or a["groups"] == 1 or max(a["stride"]) == 1 or not any(a["padding"]):
            return out
        last_tap = torch.arange(a["weight"].shape[-1], device=out.device) == a["weight"].shape[-1] - 1
        short = original(**{**a, "weight": a["weight"].masked_fill(last_tap, 0)})
        return torch.cat([out[..., :-1], short[..., -1:]], -1)

    each_convolution(patch, alter)


@breaks("conv-gradients")
def weight_gradient_of_one_wide_kernels(patch):
    """In 1-D, the weight's gradient of a kernel one wide, a matrix product, comes from the first sample alone."""

    def alter(dims, original, a):
        if dims > 1 or a["weight"].shape[-1] > 1 or a["input"].shape[0] < 2 or a["input"].dim() < 3:
            return original(**a)
        rest = original(**{**a, "input": a["input"][1:], "weight": a["weight"].detach()})
        return torch.cat([original(**{**a, "input": a["input"][:1]}), rest])

    each_convolution(patch, alter)
