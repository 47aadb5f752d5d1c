"""How what test_parameter.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


@breaks("variable-is-tensor")
def variable_is_its_own_class(patch):
    """Variable(x) is a subclass of Tensor."""

    class Legacy(torch.Tensor):
        pass

    def wrapping(original):
        def variable(data, requires_grad=False):
            return data.detach().as_subclass(Legacy).requires_grad_(requires_grad)

        return variable

    patch(torch.autograd, "Variable", wrapping)


@breaks("variable-is-tensor")
def results_are_no_variables(patch):
    """Only tensors that require a gradient are instances of Variable."""
    patch(
        type(torch.autograd.Variable),
        "__instancecheck__",
        lambda original: lambda cls, other: torch.is_tensor(other) and other.requires_grad,
    )


def _parameter(make_arguments):
    def make(original):
        def __new__(cls, data=None, requires_grad=True):
            return original(cls, *make_arguments(data, requires_grad))

        return __new__

    return make


@breaks("param-default-rg")
def parameter_heeds_no_grad(patch):
    """A Parameter made under no_grad does not require a gradient."""
    patch(
        nn.Parameter,
        "__new__",
        _parameter(lambda data, requires_grad: (data, requires_grad and torch.is_grad_enabled())),
    )


@breaks("param-default-rg", "param-int")
def requires_grad_false_is_lost(patch):
    """requires_grad=False is lost for floating data, and integers never require a gradient."""
    patch(nn.Parameter, "__new__", _parameter(lambda data, requires_grad: (data, data.is_floating_point())))


@breaks("param-shares-storage")
def parameter_copies(patch):
    """A Parameter copies what is not contiguous."""
    patch(
        nn.Parameter,
        "__new__",
        _parameter(lambda data, requires_grad: (data.contiguous(), requires_grad)),
    )


@breaks("param-shares-storage")
def parameter_of_a_parameter_is_the_same(patch):
    """A Parameter made of a Parameter is that Parameter."""

    def same(original):
        def __new__(cls, data=None, requires_grad=True):
            return data if isinstance(data, nn.Parameter) else original(cls, data, requires_grad)

        return __new__

    patch(nn.Parameter, "__new__", same)


@breaks("param-shares-storage")
def parameter_marks_its_source(patch):
    """Making a Parameter lets the tensor that it is made of require a gradient too."""

    def marking(data, requires_grad):
        return (data.requires_grad_() if data.is_leaf and data.is_floating_point() else data), requires_grad

    patch(nn.Parameter, "__new__", _parameter(marking))


@breaks("param-op-plain")
def detached_parameter_is_a_parameter(patch):
    """detach() of a Parameter is a Parameter that does not require a gradient."""

    def keeping(original):
        def detach(self):
            result = original(self)
            return nn.Parameter(result, requires_grad=False) if isinstance(self, nn.Parameter) else result

        return detach

    patch(torch.Tensor, "detach", keeping)
