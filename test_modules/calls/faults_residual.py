"""How what test_residual.py decides could be broken."""

import torch
from torch import nn
from torch.nn import functional as F

from torchclaims import breaks


def _conv2d(change):
    """Makes a conv2d that is given ``change(input, weight, bias, stride, padding)``."""

    def make(original):
        def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
            return original(*change(input, weight, bias, stride, padding), dilation, groups)

        return conv2d

    return make


@breaks("module-residual-block", "module-residual-stride-twice", "module-residual-parameters")
def stride_is_ignored_across(patch):
    """conv2d strides along the height only."""
    patch(F, "conv2d", _conv2d(lambda x, w, b, stride, padding: (x, w, b, (stride[0], 1), padding)))


@breaks("module-residual-block")
def relu_ends_at_six(patch):
    """relu is relu6."""
    patch(F, "relu", lambda original: lambda input, inplace=False: original(input).clamp(max=6))


@breaks("module-residual-block")
def kernel_is_flipped(patch):
    """conv2d is a convolution in the strict sense: the kernel is flipped."""
    patch(F, "conv2d", _conv2d(lambda x, w, b, stride, padding: (x, w.flip(2, 3), b, stride, padding)))


@breaks("module-residual-block")
def normalisation_forgets_the_root(patch):
    """batch_norm divides by the variance instead of its root."""

    def squared(original):
        def batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps):
            return original(input, running_mean, running_var**2, weight, bias, training, momentum, eps)

        return batch_norm

    patch(F, "batch_norm", squared)


def _addition(change):
    """Makes an addition of ``change(self, other)`` where both are tensors of different shapes."""

    def make(original):
        def __add__(self, other):
            if torch.is_tensor(other) and self.shape != other.shape:
                self, other = change(self, other)
            return original(self, other)

        return __add__

    return make


@breaks("module-residual-block")
def channels_in_excess_are_cut(patch):
    """An addition cuts to the channels that both have."""

    def cut(left, right):
        count = min(left.shape[1], right.shape[1])
        return left[:, :count], right[:, :count]

    patch(torch.Tensor, "__add__", _addition(cut))


@breaks("module-residual-stride-twice")
def one_pixel_is_padded(patch):
    """A single pixel is padded with zeros instead of being stretched."""

    def padded(left, right):
        if left.dim() == 4 and right.shape[2:] == (1, 1):
            right = F.pad(right, (0, left.shape[3] - 1, 0, left.shape[2] - 1))
        return left, right

    patch(torch.Tensor, "__add__", _addition(padded))


@breaks("module-residual-stride-twice")
def one_channel_goes_to_the_first(patch):
    """A single channel is added to the first channel only."""

    def first(left, right):
        if left.dim() == 4 and left.shape[1] == 1:
            left = F.pad(left, (0, 0, 0, 0, 0, right.shape[1] - 1))
        return left, right

    patch(torch.Tensor, "__add__", _addition(first))


@breaks("module-residual-parameters")
def transposed_weights(patch):
    """Conv2d keeps its weight with the channels swapped."""

    def transposed(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.weight = nn.Parameter(self.weight.transpose(0, 1))

        return __init__

    def back(original):
        def forward(self, input):
            return self._conv_forward(input, self.weight.transpose(0, 1), self.bias)

        return forward

    patch(nn.Conv2d, "__init__", transposed)
    patch(nn.Conv2d, "forward", back)


@breaks("bcast-rules")
def vectors_are_aligned_at_the_first_dimension(patch):
    """A vector that fits a square runs along its first dimension."""

    def first(left, right):
        square = right.dim() == 1 and left.dim() == 2 and left.shape == right.shape * 2
        return left, right[:, None] if square else right

    patch(torch.Tensor, "__add__", _addition(first))


@breaks("bcast-rules")
def sizes_that_divide_are_repeated(patch):
    """A size that divides the other is repeated."""

    def repeated(left, right):
        if left.dim() == right.dim() == 1 and right.numel() > 1 and left.numel() % right.numel() == 0:
            right = right.repeat(left.numel() // right.numel())
        return left, right

    patch(torch.Tensor, "__add__", _addition(repeated))


@breaks("bcast-rules")
def sizes_are_named_in_the_wrong_order(patch):
    """The error names the sizes of b as those of a."""

    def swapped(original):
        def __add__(self, other):
            try:
                return original(self, other)
            except RuntimeError:
                return original(other, self)

        return __add__

    patch(torch.Tensor, "__add__", swapped)
