"""How what test_refusals.py decides could be broken."""

from torch import nn

from test_layers.convolution.breaking import each_convolution
from torchclaims import breaks


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
