"""How what test_constructor.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


@breaks("module-init-needed")
def tables_are_made_at_need(patch):
    """An assignment makes the tables of a module without constructor."""

    def lenient(original):
        def __setattr__(self, name, value):
            if "_parameters" not in self.__dict__ and isinstance(value, (nn.Parameter, nn.Module)):
                nn.Module.__init__(self)
            original(self, name, value)

        return __setattr__

    patch(nn.Module, "__setattr__", lenient)


@breaks("module-init-needed")
def call_does_without_hooks(patch):
    """A call goes straight to forward where the tables of hooks are missing."""

    def lenient(original):
        def __call__(self, *args, **kwargs):
            return (
                original(self, *args, **kwargs) if "_forward_hooks" in self.__dict__ else self.forward(*args, **kwargs)
            )

        return __call__

    patch(nn.Module, "__call__", lenient)


@breaks("module-init-needed")
def plain_tensors_need_the_constructor(patch):
    """A plain tensor cannot be assigned without the constructor either, and is dropped."""

    def strict(original):
        def __setattr__(self, name, value):
            if "_parameters" in self.__dict__ or not isinstance(value, torch.Tensor) or isinstance(value, nn.Parameter):
                original(self, name, value)

        return __setattr__

    patch(nn.Module, "__setattr__", strict)


@breaks("module-init-both-forms")
def modules_of_a_class_share_their_tables(patch):
    """The table of parameters is the class', as a mutable default would be."""
    tables = {}

    def sharing(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            object.__setattr__(self, "_parameters", tables.setdefault(type(self), self._parameters))

        return __init__

    patch(nn.Module, "__init__", sharing)


@breaks("module-training-default")
def modules_start_in_evaluation_mode(patch):
    """The constructor leaves modules without children-to-be in evaluation mode."""

    def evaluating(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            object.__setattr__(self, "training", isinstance(self, nn.Sequential))

        return __init__

    patch(nn.Module, "__init__", evaluating)


@breaks("module-init-cooperative")
def constructor_calls_the_next_class(patch):
    """The constructor of nn.Module goes on to the next class in the order of resolution."""
    patch(nn.Module, "call_super_init", lambda original: True)


@breaks("module-must-inherit", "module-plain-container-invisible")
def plain_objects_are_searched(patch):
    """named_parameters also finds Parameters in plain attributes: in their items and their own attributes."""

    def searching(original):
        def named_parameters(self, *args, **kwargs):
            yield from original(self, *args, **kwargs)
            for name, value in vars(self).items():
                items = dict(enumerate(value)) if isinstance(value, (list, tuple)) else getattr(value, "__dict__", {})
                for key, item in items.items():
                    if isinstance(item, nn.Parameter):
                        yield f"{name}.{key}", item

        return named_parameters

    patch(nn.Module, "named_parameters", searching)


@breaks("module-must-inherit")
def addition_rounds_inside_modules(patch):
    """An addition within a Module's forward loses its last bit."""
    depth = []

    def entering(original):
        def __call__(self, *args, **kwargs):
            depth.append(self)
            try:
                return original(self, *args, **kwargs)
            finally:
                depth.pop()

        return __call__

    def rounding(original):
        def __add__(self, other):
            result = original(self, other)
            return result * (1 + torch.finfo(result.dtype).eps) if depth else result

        return __add__

    patch(nn.Module, "__call__", entering)
    patch(torch.Tensor, "__add__", rounding)
