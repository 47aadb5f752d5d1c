"""How what test_shapes.py decides could be broken."""

import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import breaks


@breaks("reuse-channels-match", "reuse-nhwc-refused")
def further_channels_are_ignored(patch):
    """conv2d takes the first channels of an input that has too many."""

    def broken(original):
        def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
            return original(x[:, : weight.size(1) * groups], weight, bias, stride, padding, dilation, groups)

        return conv2d

    patch(F, "conv2d", broken)


@breaks("reuse-nhwc-refused")
def channels_last_are_moved(patch):
    """Conv2d moves the last dimension to the front where it is the one that matches."""

    def broken(original):
        def forward(self, x):
            if x.size(1) != self.in_channels == x.size(-1):
                x = x.movedim(-1, 1)
            return original(self, x)

        return forward

    patch(nn.Conv2d, "forward", broken)


@breaks("reuse-block-shapes")
def output_channels_come_last(patch):
    """Conv2d gives (N, H, W, C)."""

    def broken(original):
        return lambda self, x: original(self, x).movedim(1, -1)

    patch(nn.Conv2d, "forward", broken)


@breaks("reuse-block-shapes")
def padding_is_lopsided(patch):
    """conv2d pads the height on one side only."""

    def broken(original):
        def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
            output = original(x, weight, bias, stride, padding, dilation, groups)
            return output[:, :, 1:] if padding else output

        return conv2d

    patch(F, "conv2d", broken)


@breaks("reuse-conv-positional")
def padding_comes_before_stride(patch):
    """The fourth argument of Conv2d is the padding, the fifth the stride."""

    def broken(original):
        def __init__(self, in_channels, out_channels, kernel_size, *args, **kwargs):
            if len(args) > 1:
                args = (args[1], args[0], *args[2:])
            original(self, in_channels, out_channels, kernel_size, *args, **kwargs)

        return __init__

    patch(nn.Conv2d, "__init__", broken)


@breaks("reuse-conv-positional")
def stride_holds_for_the_height_only(patch):
    """conv2d moves by one along the width, whatever the stride."""

    def broken(original):
        def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
            return original(x, weight, bias, (stride[0], 1), padding, dilation, groups)

        return conv2d

    patch(F, "conv2d", broken)


@breaks("reuse-pool-stride-default")
def default_stride_is_one(patch):
    """Without a stride MaxPool2d moves its window by one."""

    def broken(original):
        def __init__(self, kernel_size, stride=None, *args, **kwargs):
            original(self, kernel_size, 1 if stride is None else stride, *args, **kwargs)

        return __init__

    patch(nn.MaxPool2d, "__init__", broken)


@breaks("reuse-pool-stride-default")
def default_stride_is_square(patch):
    """Without a stride MaxPool2d moves its window by the kernel's height in both directions."""

    def broken(original):
        def __init__(self, kernel_size, stride=None, *args, **kwargs):
            original(self, kernel_size, stride, *args, **kwargs)
            if stride is None and isinstance(kernel_size, tuple):
                self.stride = kernel_size[0]

        return __init__

    patch(nn.MaxPool2d, "__init__", broken)


@breaks("reuse-linear-fixes-size", "reuse-pool-stride-default")
def pooling_rounds_up(patch):
    """MaxPool2d keeps a window that is cut off by the edge, as with ceil_mode."""

    def broken(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.ceil_mode = True

        return __init__

    patch(nn.MaxPool2d, "__init__", broken)


@breaks("reuse-linear-fixes-size")
def further_features_are_ignored(patch):
    """linear takes the first features of an input that has too many."""

    def broken(original):
        return lambda x, weight, bias=None: original(x[..., : weight.size(1)], weight, bias)

    patch(F, "linear", broken)


@breaks("reuse-view-flattens")
def view_copies(patch):
    """view gives a copy."""

    def broken(original):
        return lambda self, *args: original(self, *args).clone()

    patch(torch.Tensor, "view", broken)


@breaks("reuse-view-flattens")
def view_puts_channels_last(patch):
    """view flattens channels last."""

    def broken(original):
        def view(self, *size):
            if self.dim() == 4 and size == (self.size(0), -1):
                return self.permute(0, 2, 3, 1).reshape(*size)
            return original(self, *size)

        return view

    patch(torch.Tensor, "view", broken)


@breaks("reuse-view-needs-layout")
def view_copies_where_it_must(patch):
    """view copies where it cannot give a view, as reshape does."""

    def broken(original):
        return lambda self, *args: self.reshape(*args)

    patch(torch.Tensor, "view", broken)


@breaks("reuse-view-needs-layout")
def view_flattens_as_stored(patch):
    """view goes by the order in memory, whatever the strides say."""

    def broken(original):
        def view(self, *size):
            if size[-1] == -1 and not self.is_contiguous():
                return self.as_strided((self.size(0), self.numel() // self.size(0)), (self.stride(0), 1))
            return original(self, *size)

        return view

    patch(torch.Tensor, "view", broken)
