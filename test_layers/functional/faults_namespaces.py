"""How what test_namespaces.py decides could be broken."""

import types

from torch import nn

from torchclaims import breaks


def altered_namespace(patch, **changes):
    """torch.nn.functional with ``changes``; what is None is missing."""

    def make(original):
        changed = types.ModuleType(original.__name__)
        vars(changed).update(vars(original))
        vars(changed).update({name: value for name, value in changes.items() if value is not None})
        for name in [name for name, value in changes.items() if value is None]:
            del vars(changed)[name]
        return changed

    patch(nn, "functional", make)


@breaks("func-no-class-names")
def functional_relu_of_that_name(patch):
    """F.ReLU is another name of F.relu."""
    altered_namespace(patch, ReLU=nn.functional.relu)


@breaks("func-no-class-names")
def module_class_among_functions(patch):
    """A module class can be had from torch.nn.functional."""
    altered_namespace(patch, Softplus=nn.Softplus)


@breaks("func-twins")
def sequential_gets_a_twin(patch):
    """F.sequential exists."""
    altered_namespace(patch, sequential=lambda *functions: functions)


@breaks("func-twins")
def pixel_shuffle_loses_its_twin(patch):
    """F.pixel_shuffle is gone."""
    altered_namespace(patch, pixel_shuffle=None)


@breaks("func-twins")
def pad_is_gone(patch):
    """F.pad is gone."""
    altered_namespace(patch, pad=None)


@breaks("func-without-modules")
def one_hot_is_gone(patch):
    """F.one_hot is gone."""
    altered_namespace(patch, one_hot=None)


@breaks("func-without-modules")
def one_hot_becomes_a_module(patch):
    """F.one_hot is a module class that must be made before it is called."""
    altered_namespace(patch, one_hot=type("one_hot", (nn.Module,), {}))


@breaks("func-without-modules")
def pad_on_the_other_side(patch):
    """F.pad takes the last number of a pair first."""
    patch(
        nn.functional,
        "pad",
        lambda original: lambda x, pad, *args, **kwargs: original(x, pad[::-1], *args, **kwargs),
    )
