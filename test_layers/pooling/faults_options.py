"""How what test_options.py decides could be broken."""

import torch
from torch import nn

from test_layers.pooling.breaking import each_average, each_max, regraded
from torchclaims import breaks

F = nn.functional


@breaks("pool-layouts")
def strided_inputs_read_on(patch):
    """Inputs with gaps or moved axes are read as if they were contiguous."""

    def alter(dims, original, x, a):
        if not x.is_contiguous() and 0 not in x.stride():
            x = x.as_strided(x.shape, torch.empty(x.shape).stride(), x.storage_offset())
        return original(x, **a)

    each_max(patch, alter)


@breaks("pool-layouts")
def expanded_gradient_halved(patch):
    """An expanded input gets half its gradient from a mean."""
    each_average(patch, lambda dims, original, x, a: original(regraded(x, 0.5) if 0 in x.stride() else x, **a))


@breaks("pool-argument-order")
def functions_as_layers(patch):
    """max_pool2d takes return_indices before ceil_mode, as the layer does."""

    def make(original):
        def max_pool2d(input, kernel, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
            return original(input, kernel, stride, padding, dilation, ceil_mode, return_indices)

        return max_pool2d

    patch(F, "max_pool2d", make)


@breaks("pool-argument-order")
def layers_as_functions(patch):
    """MaxPool1d takes ceil_mode before return_indices, as the function does."""

    def make(original):
        def __init__(self, kernel, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
            original(self, kernel, stride, padding, dilation, return_indices, ceil_mode)

        return __init__

    patch(nn.MaxPool1d, "__init__", make)


@breaks("pool-argument-order")
def averages_count_before_the_ceiling(patch):
    """AvgPool3d takes count_include_pad before ceil_mode."""

    def make(original):
        def __init__(self, kernel, stride=None, padding=0, count=True, ceil_mode=False, divisor_override=None):
            original(self, kernel, stride, padding, ceil_mode, count, divisor_override)

        return __init__

    patch(nn.AvgPool3d, "__init__", make)


@breaks("pool-integers")
def integers_padded_with_zero(patch):
    """The padding of whole numbers is 0."""

    def alter(dims, original, x, a):
        out = original(x, **a)
        return out if x.is_floating_point() or not any(a["padding"]) else out.clamp(min=0)

    each_max(patch, alter)


@breaks("pool-integers")
def integers_by_way_of_bytes(patch):
    """Whole numbers are pooled as signed bytes."""

    def alter(dims, original, x, a):
        return original(x.to(torch.int8).to(x.dtype) if x.dtype == torch.uint8 else x, **a)

    each_max(patch, alter)

    def other(dims, original, x, a):
        out = original(x, **a)
        return (out[0] + 0, out[1] - out[1] % 2) if isinstance(out, tuple) and not x.is_floating_point() else out

    each_max(patch, other)


@breaks("pool-divisor")
def divisor_made_positive(patch):
    """A negative divisor counts as positive."""

    def alter(dims, original, x, a):
        divisor = a.get("divisor_override")
        return original(x, **({**a, "divisor_override": abs(divisor)} if divisor else a))

    each_average(patch, alter)


@breaks("pool-divisor")
def divisor_zero_is_none(patch):
    """A divisor of 0 counts as none."""

    def alter(dims, original, x, a):
        return original(x, **({**a, "divisor_override": None} if a.get("divisor_override") == 0 else a))

    each_average(patch, alter)


@breaks("pool-padding-limit")
def dilation_widens_the_limit(patch):
    """With dilation, padding up to half of what the kernel stretches to is taken."""

    def alter(dims, original, x, a):
        more = [p - k // 2 for p, k in zip(a["padding"], a["kernel_size"], strict=True)]
        if max(a["dilation"]) == 1 or max(more) <= 0 or a["return_indices"]:
            return original(x, **a)
        pads = [max(0, m) for m in reversed(more) for _ in range(2)]
        kept = tuple(min(p, k // 2) for p, k in zip(a["padding"], a["kernel_size"], strict=True))
        return original(F.pad(x, pads, value=-torch.inf), **{**a, "padding": kept})

    each_max(patch, alter)


@breaks("pool-printed")
def stride_is_not_printed(patch):
    """AvgPool2d does not print a stride that is the kernel size."""
    patch(nn.AvgPool2d, "extra_repr", lambda original: lambda self: original(self).replace(", stride=2,", ","))


@breaks("pool-printed")
def dilation_printed_as_padding(patch):
    """Max pooling prints its dilation where its padding belongs."""

    def make(original):
        return lambda self: original(self).replace(f"padding={self.padding}", f"padding={self.dilation}")

    for kind in (nn.MaxPool1d, nn.MaxPool2d):
        patch(kind, "extra_repr", make)


@breaks("maxpool-ceil-covers", "maxpool-1d-shape-section")
def each_window_with_an_element_is_kept(patch):
    """With ceil_mode the input is padded at its end until each element is covered, and a window more comes out."""

    def alter(dims, original, x, a):
        if not a["ceil_mode"] or a["return_indices"]:
            return original(x, **a)
        # A window of the whole input covers everything.
        whole = x.amax(-1, keepdim=True)
        return torch.cat([original(x, **a), whole.expand(*original(x, **a).shape[:-1], 1)], -1)

    each_max(patch, alter)


@breaks("maxpool-ceil-covers-up-to-the-kernel")
def the_rest_is_left_out(patch):
    """With ceil_mode the number of windows is rounded down."""
    each_max(patch, lambda dims, original, x, a: original(x, **{**a, "ceil_mode": False}))


@breaks("avgpool-3d-feature-count")
def features_divided_by_the_stride(patch):
    """Of the planes as many are kept as the page says."""

    def alter(dims, original, x, a):
        out = original(x, **a)
        return out[:, : x.shape[1] // a["stride"][0]] if dims == 3 else out

    each_average(patch, alter)


@breaks("maxpool-3d-unbatched-layouts")
def volumes_are_made_contiguous(patch):
    """Volumes without a batch are copied first, as they have to be."""
    each_max(patch, lambda dims, original, x, a: original(x.contiguous() if dims == 3 else x, **a))


@breaks("maxpool-padding-alone")
def padding_receives_gradients(patch):
    """Mended: minus infinities are laid around the input, so that what goes to them is lost."""

    def alter(dims, original, x, a):
        if dims == 1 or a["return_indices"]:
            return original(x, **a)
        ends = [end for one in reversed(a["padding"]) for end in (one, one)]
        return original(F.pad(x, ends, value=-float("inf")), **{**a, "padding": (0,) * dims})

    each_max(patch, alter)


@breaks("avgpool-3d-padded-input")
def volumes_are_padded_first(patch):
    """The padding is laid out before the mean is taken, as it has to be for small volumes."""

    def alter(dims, original, x, a):
        if dims < 3:
            return original(x, **a)
        ends = [end for one in reversed(a["padding"]) for end in (one, one)]
        return original(F.pad(x, ends), **{**a, "padding": (0, 0, 0)})

    each_average(patch, alter)
