"""How what the VGG is built on could be broken."""

import difflib

import torch
from torch import nn
from torch.nn import functional

from torchclaims import breaks


@breaks(
    "vgg-names",
    "vgg-relu-table",
    "vgg-convolution-table",
    "vgg-blocks",
    "vgg-configuration",
    "vgg-printed-structure",
)
def children_are_sorted_by_name(patch):
    """add_module sorts children by name, so that conv10 comes before conv2."""

    def broken(original):
        def add_module(parent, name, module):
            original(parent, name, module)
            children = sorted(parent._modules.items())
            parent._modules.clear()
            parent._modules.update(children)

        return add_module

    patch(nn.Module, "add_module", broken)


@breaks("vgg-names", "vgg-relu-table", "vgg-convolution-table")
def sequential_counts_from_one(patch):
    """An index into Sequential is one too low, except for the first layer."""
    patch(
        nn.Sequential,
        "__getitem__",
        lambda original: lambda layers, index: original(layers, index - (index != 0)),
    )


@breaks("vgg-printed-structure", "vgg-printed-arguments")
def printed_channels_are_swapped(patch):
    """A printed convolution shows its output channels first."""

    def broken(original):
        def extra_repr(conv):
            first, second, rest = original(conv).split(", ", 2)
            return f"{second}, {first}, {rest}"

        return extra_repr

    patch(nn.modules.conv._ConvNd, "extra_repr", broken)


@breaks("vgg-printed-structure")
def zero_padding_is_not_printed(patch):
    """A pooling prints its padding only where there is some."""

    def broken(original):
        return lambda pool: original(pool).replace(", padding=0", "")

    patch(nn.MaxPool2d, "extra_repr", broken)


@breaks("vgg-printed-arguments")
def momentum_is_printed_as_its_complement(patch):
    """A printed normalisation shows the complement of its momentum."""

    def broken(original):
        return lambda norm: original(norm).replace("momentum=0.1", "momentum=0.9")

    patch(nn.modules.batchnorm._NormBase, "extra_repr", broken)


@breaks("vgg-weighted-layers")
def the_last_module_is_left_out(patch):
    """modules() ends one module early."""

    def broken(original):
        def modules(module):
            found = list(original(module))
            return iter(found[:-1] if len(found) > 1 else found)

        return modules

    patch(nn.Module, "modules", broken)


@breaks("vgg-parameter-count")
def statistics_are_parameters(patch):
    """parameters() counts the running statistics in."""

    def broken(original):
        def named_parameters(module, prefix="", recurse=True, remove_duplicate=True):
            yield from original(module, prefix, recurse)
            for name, buffer in module.named_buffers(prefix, recurse):
                if buffer.is_floating_point():
                    yield name, buffer

        return named_parameters

    patch(nn.Module, "named_parameters", broken)


@breaks("vgg-default-rates", "vgg-twelve-rates", "vgg-weighted-layers")
def modules_come_last_first(patch):
    """modules() lists what was added last first."""
    patch(nn.Module, "modules", lambda original: lambda module: reversed(list(original(module))))


@breaks("vgg-table-attribute")
def a_misspelt_attribute_is_found(patch):
    """An attribute that is not there is answered with one of nearly the same name."""

    def broken(original):
        def __getattr__(module, name):
            close = difflib.get_close_matches(name, vars(module), n=1, cutoff=0.9)
            return vars(module)[close[0]] if close else original(module, name)

        return __getattr__

    patch(nn.Module, "__getattr__", broken)


@breaks("vgg-table-attribute")
def the_error_does_not_name_the_class(patch):
    """The AttributeError for a missing attribute does not say whose it is."""

    def broken(original):
        def __getattr__(module, name):
            try:
                return original(module, name)
            except AttributeError:
                raise AttributeError(f"no attribute {name!r}") from None

        return __getattr__

    patch(nn.Module, "__getattr__", broken)


@breaks("vgg-rates-unused")
def numbers_become_buffers(patch):
    """A float assigned to a layer that has parameters is registered as a buffer."""

    def broken(original):
        def __setattr__(module, name, value):
            if isinstance(value, float) and vars(module).get("_parameters"):
                module.register_buffer(name, torch.tensor(value))
            else:
                original(module, name, value)

        return __setattr__

    patch(nn.Module, "__setattr__", broken)


@breaks("vgg-rates-unused")
def rates_scale_the_output(patch):
    """A convolution multiplies its output by what cp_rate leaves."""

    def broken(original):
        return lambda conv, input: original(conv, input) * (1 - getattr(conv, "cp_rate", 0))

    patch(nn.Conv2d, "forward", broken)


@breaks("vgg-batch-norm-flag")
def training_uses_running_statistics(patch):
    """Batch normalisation in training normalises with the running statistics."""

    def broken(original):
        def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, *rest):
            return original(input, running_mean, running_var, weight, bias, training and running_mean is None, *rest)

        return batch_norm

    patch(functional, "batch_norm", broken)


@breaks("vgg-batch-norm-flag")
def relu_leaks(patch):
    """ReLU leaves a hundredth of what is negative."""
    patch(
        functional,
        "relu",
        lambda original: lambda input, inplace=False: functional.leaky_relu(input, 0.01, inplace),
    )


@breaks("vgg-first-features")
def the_first_child_stays(patch):
    """A child's name that is taken is not assigned again."""

    def broken(original):
        def __setattr__(module, name, value):
            if name not in vars(module).get("_modules", ()):
                original(module, name, value)

        return __setattr__

    patch(nn.Module, "__setattr__", broken)


@breaks("vgg-first-features")
def a_replaced_child_goes_last(patch):
    """A child that is replaced moves to the end of its parent's children."""

    def broken(original):
        def __setattr__(module, name, value):
            vars(module).get("_modules", {}).pop(name, None)
            original(module, name, value)

        return __setattr__

    patch(nn.Module, "__setattr__", broken)


@breaks("vgg-pool-in-forward")
def pooling_has_a_buffer(patch):
    """AvgPool2d counts its windows in a buffer."""

    def broken(original):
        def __init__(pool, *args, **kwargs):
            original(pool, *args, **kwargs)
            pool.register_buffer("num_windows_tracked", torch.tensor(0))

        return __init__

    patch(nn.AvgPool2d, "__init__", broken)


@breaks("vgg-pool-in-forward")
def pooling_depends_on_the_mode(patch):
    """AvgPool2d takes the maximum in evaluation."""

    def broken(original):
        def forward(pool, input):
            return original(pool, input) if pool.training else functional.max_pool2d(input, pool.kernel_size)

        return forward

    patch(nn.AvgPool2d, "forward", broken)


@breaks("vgg-classifier")
def ordered_names_are_sorted(patch):
    """Sequential sorts the names of an OrderedDict."""

    def broken(original):
        def __init__(layers, *args):
            original(layers, *args)
            children = sorted(layers._modules.items())
            layers._modules.clear()
            layers._modules.update(children)

        return __init__

    patch(nn.Sequential, "__init__", broken)


@breaks("vgg-equal-names")
def names_are_listed_once(patch):
    """named_modules lists each local name once."""

    def broken(original):
        def named_modules(module, memo=None, prefix="", remove_duplicate=True):
            seen = set()
            for name, found in original(module, memo, prefix, remove_duplicate):
                local = name.rpartition(".")[2]
                if local not in seen:
                    seen.add(local)
                    yield name, found

        return named_modules

    patch(nn.Module, "named_modules", broken)


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


@breaks("vgg-first-features")
def hooks_pass_to_the_next_child(patch):
    """A child that replaces another takes over its forward hooks."""

    def broken(original):
        def __setattr__(self, name, value):
            first = self.__dict__.get("_modules", {}).get(name)
            original(self, name, value)
            if isinstance(first, nn.Module) and isinstance(value, nn.Module):
                value._forward_hooks.update(first._forward_hooks)

        return __setattr__

    patch(nn.Module, "__setattr__", broken)
