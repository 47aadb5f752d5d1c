"""How what test_values.py decides could be broken."""

import torch
from torch import nn

from test_layers.convolution.breaking import each_convolution
from torchclaims import breaks


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


@breaks("conv-mostly-padding")
def first_depth_outside_is_lost(patch):
    """Of a kernel deeper than the input, the outputs that only the kernel's last slices reach stay empty."""

    def make(original):
        def conv3d(input, weight, *args, **kwargs):
            output = original(input, weight, *args, **kwargs)
            if weight.shape[2] <= input.shape[2]:
                return output
            reached = torch.arange(output.shape[2], device=output.device) >= input.shape[2]
            return output * reached.to(output.dtype).view(-1, 1, 1)

        return conv3d

    patch(nn.functional, "conv3d", make)
