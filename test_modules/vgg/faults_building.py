"""How what test_building.py decides could be broken."""

import difflib

import torch
from torch import nn
from torch.nn import functional

from torchclaims import breaks


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
