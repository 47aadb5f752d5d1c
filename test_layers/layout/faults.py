"""How strides and offsets could be mistaken."""

import torch
from torch import nn

from torchclaims import breaks


def misread(patch, name, misreading):
    """F.``name`` reads its input as ``misreading`` makes of it."""
    patch(
        nn.functional,
        name,
        lambda original: lambda input, *args, **kwargs: original(misreading(input), *args, **kwargs),
    )


@breaks("layout-of-inputs")
def relu_takes_dense_for_contiguous(patch):
    """ReLU walks through dense memory in order, whatever the strides say."""

    def misreading(x):
        dense = x.numel() and not x.is_contiguous() and sorted(x.stride())[-1] * max(x.shape) >= x.numel()
        apart = x.untyped_storage().nbytes() // x.element_size() == x.numel()
        return x.as_strided(x.shape, torch.empty(x.shape).stride()) if dense and apart else x

    misread(patch, "relu", misreading)


@breaks("layout-of-inputs")
def convolution_forgets_the_offset(patch):
    """Convolution reads from the beginning of the storage."""
    misread(patch, "conv2d", lambda x: x.as_strided(x.shape, x.stride(), 0))


@breaks("layout-of-inputs")
def pooling_of_expanded_channels(patch):
    """Max pooling of channels that share their memory reads the next sample for the next channel."""

    def misreading(x):
        return x.flip(0) if x.dim() == 4 and x.stride(1) == 0 else x

    misread(patch, "max_pool2d", misreading)


@breaks("layout-of-inputs")
def linear_of_strided_rows(patch):
    """A linear layer reads strided rows as if their elements were neighbours."""

    def misreading(x):
        return (
            x.as_strided(x.shape, (*x.stride()[:-1], 1), x.storage_offset()).nan_to_num(0.0) if x.stride(-1) == 2 else x
        )

    misread(patch, "linear", misreading)


@breaks("layout-of-inputs")
def softmax_along_the_densest_dimension(patch):
    """Softmax runs along the dimension whose elements are neighbours when this is the channels."""

    def make(original):
        def softmax(input, dim=None, *args, **kwargs):
            return original(input, 2 if input.stride(1) == 1 else dim, *args, **kwargs)

        return softmax

    patch(nn.functional, "softmax", make)


@breaks("layout-of-weights")
def weight_taken_for_contiguous(patch):
    """Linear and convolution layers walk through their weight in the order of memory."""

    def make(original):
        def broken(input, weight, *args, **kwargs):
            return original(input, weight.as_strided(weight.shape, torch.empty(weight.shape).stride()), *args, **kwargs)

        return broken

    patch(nn.functional, "linear", make)
    patch(nn.functional, "conv2d", make)


@breaks("layout-of-weights")
def weight_of_a_slice_begins_at_its_storage(patch):
    """A weight that begins in the middle of a storage is read from that storage's beginning."""

    def make(original):
        def conv2d(input, weight, *args, **kwargs):
            return original(input, weight.as_strided(weight.shape, weight.stride(), 0), *args, **kwargs)

        return conv2d

    patch(nn.functional, "conv2d", make)


def misread_gradient(patch, name, misreading):
    """The backward pass of F.``name`` reads its gradient as ``misreading`` makes of it."""

    class Misreading(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, grad):
            return misreading(grad)

    patch(
        nn.functional,
        name,
        lambda original: lambda input, *args, **kwargs: Misreading.apply(original(input, *args, **kwargs)),
    )


@breaks("layout-of-gradients")
def expanded_gradient_counts_once(patch):
    """Average pooling takes an expanded gradient for its first element and zeros."""

    def misreading(grad):
        if any(grad.stride()):
            return grad
        alone = torch.zeros_like(grad, memory_format=torch.contiguous_format)
        alone[..., 0] = grad[..., 0]
        return alone

    misread_gradient(patch, "avg_pool2d", misreading)


@breaks("layout-of-gradients")
def transposed_gradient_in_memory_order(patch):
    """Convolution reads a transposed gradient in the order of memory."""

    def misreading(grad):
        return grad if grad.is_contiguous() else grad.as_strided(grad.shape, torch.empty(grad.shape).stride())

    misread_gradient(patch, "conv2d", misreading)
