"""How what test_running.py decides could be broken."""

import torch
from torch.nn import functional

from torchclaims import breaks


@breaks("vgg-features-shape", "vgg-input-sizes")
def max_pooling_rounds_up(patch):
    """Max-pooling rounds the size of its output up."""

    def broken(original):
        def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
            return original(input, kernel_size, stride, padding, dilation, True, return_indices)

        return max_pool2d

    patch(functional, "max_pool2d", broken)


@breaks("vgg-features-shape", "vgg-input-sizes")
def convolution_pads_one_side(patch):
    """A convolution's padding is ignored along the width."""

    def broken(original):
        def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
            return original(input, weight, bias, stride, (padding[0], 0), dilation, groups)

        return conv2d

    patch(functional, "conv2d", broken)


@breaks("vgg-average-shape")
def average_strides_by_one(patch):
    """The stride of an average is one unless it is given."""

    def broken(original):
        def avg_pool2d(input, kernel_size, stride=None, *rest):
            return original(input, kernel_size, 1, *rest)

        return avg_pool2d

    patch(functional, "avg_pool2d", broken)


@breaks("vgg-average-shape")
def average_divides_by_the_width(patch):
    """An average is divided by its kernel's width, not by its area."""
    patch(
        functional,
        "avg_pool2d",
        lambda original: lambda input, size, *rest: original(input, size, *rest) * size,
    )


@breaks("vgg-view-shape")
def view_flattens_channels_last(patch):
    """view of an image runs through its channels first."""

    def broken(original):
        def view(tensor, *shape):
            if tensor.dim() == 4 and len(shape) == 2:
                return tensor.permute(0, 2, 3, 1).reshape(*shape)
            return original(tensor, *shape)

        return view

    patch(torch.Tensor, "view", broken)


@breaks("vgg-view-shape")
def view_copies(patch):
    """view copies."""
    patch(torch.Tensor, "view", lambda original: lambda tensor, *shape: original(tensor, *shape).clone())


@breaks("vgg-classifier-is-linear")
def convolution_takes_vectors(patch):
    """A convolution takes vectors for images of one pixel."""

    def broken(original):
        def conv2d(input, *rest):
            return original(input[..., None, None] if input.dim() == 2 else input, *rest)

        return conv2d

    patch(functional, "conv2d", broken)


@breaks("vgg-batch-of-one")
def one_value_is_normalised(patch):
    """Batch normalisation in training takes one value per channel."""
    patch(functional, "_verify_batch_size", lambda original: lambda size: None)


@breaks("vgg-batch-of-one")
def evaluation_counts_values_too(patch):
    """Batch normalisation refuses one value per channel in evaluation too."""

    def broken(original):
        def batch_norm(input, *rest):
            functional._verify_batch_size(input.size())
            return original(input, *rest)

        return batch_norm

    patch(functional, "batch_norm", broken)


@breaks("vgg-batch-of-one")
def statistics_are_updated_before_the_check(patch):
    """The running mean moves before one value per channel is refused."""

    def broken(original):
        def batch_norm(input, running_mean, running_var, *rest):
            if input.dim() == 2 and rest[2]:
                running_mean.mul_(0.9).add_(0.1 * input.detach().mean(0))
            return original(input, running_mean, running_var, *rest)

        return batch_norm

    patch(functional, "batch_norm", broken)


@breaks("vgg-input-sizes")
def linear_takes_the_first_features(patch):
    """Linear takes as many features as it has weights for."""

    def broken(original):
        return lambda input, weight, bias=None: original(input[..., : weight.size(1)], weight, bias)

    patch(functional, "linear", broken)


@breaks("vgg-input-sizes")
def small_images_are_not_averaged(patch):
    """An average over more than there is gives its input back."""

    def broken(original):
        return lambda input, size, *rest: original(input, size, *rest) if min(input.shape[2:]) >= size else input

    patch(functional, "avg_pool2d", broken)
