"""How what test_sequential.py decides could be broken."""

import copy

import torch
from torch import nn

from test_modules.construction.breaking import adding
from torchclaims import breaks


@breaks("seq-chain")
def sequential_returns_the_last_activation(patch):
    """Sequential returns the input of its last child where both have one shape."""

    def broken(original):
        def forward(self, x):
            before = x
            for module in self:
                before, x = x, module(x)
            return before if before.shape == x.shape else x

        return forward

    patch(nn.Sequential, "forward", broken)


@breaks("seq-chain", "seq-calls-children")
def children_get_copies(patch):
    """Sequential hands each child a copy."""

    def broken(original):
        def forward(self, x):
            for module in self:
                x = module(x.clone())
            return x

        return forward

    patch(nn.Sequential, "forward", broken)


@breaks("seq-calls-children")
def children_are_not_called(patch):
    """Sequential calls forward of its children instead of the children."""

    def broken(original):
        def forward(self, x):
            for module in self:
                x = module.forward(x)
            return x

        return forward

    patch(nn.Sequential, "forward", broken)


@breaks("seq-calls-children")
def replaced_outputs_are_lost(patch):
    """What a forward hook returns does not replace the output."""

    def broken(original):
        def register_forward_hook(self, hook, **kwargs):
            return original(self, lambda *args: (hook(*args), None)[1], **kwargs)

        return register_forward_hook

    patch(nn.Module, "register_forward_hook", broken)


@breaks("seq-repeated-child")
def children_run_once(patch):
    """Sequential goes through children(), which yields a repeated child once."""

    def broken(original):
        def forward(self, x):
            for module in self.children():
                x = module(x)
            return x

        return forward

    patch(nn.Sequential, "forward", broken)


@breaks("seq-index-slice")
def slice_renumbers(patch):
    """A slice numbers the children anew."""

    def broken(original):
        def __getitem__(self, index):
            taken = original(self, index)
            return nn.Sequential(*taken) if isinstance(index, slice) else taken

        return __getitem__

    patch(nn.Sequential, "__getitem__", broken)


@breaks("seq-index-slice")
def slice_copies(patch):
    """A slice holds copies of the children."""

    def broken(original):
        def __getitem__(self, index):
            taken = original(self, index)
            return copy.deepcopy(taken) if isinstance(index, slice) else taken

        return __getitem__

    patch(nn.Sequential, "__getitem__", broken)


@breaks("seq-index-out-of-range")
def index_wraps_around(patch):
    """An index outside of the container wraps around."""

    def broken(original):
        return lambda self, iterator, index: original(self, iterator, index % len(self) if len(self) else index)

    patch(nn.Sequential, "_get_item_by_idx", broken)


@breaks("seq-nonmodule")
def callables_are_wrapped(patch):
    """Sequential wraps a function as a module."""

    class Wrapped(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, x):
            return self.function(x)

    def add(original, self, name, module):
        plain = callable(module) and not isinstance(module, (nn.Module, type))
        original(self, name, Wrapped(module) if plain else module)

    patch(nn.Module, "add_module", adding(add))


@breaks("seq-nonmodule")
def insert_checks_nothing(patch):
    """insert shifts the others before it looks at the module."""

    def broken(original):
        def insert(self, index, module):
            for number in range(len(self._modules), index, -1):
                self._modules[str(number)] = self._modules[str(number - 1)]
            if not isinstance(module, nn.Module):
                raise AssertionError(f"module should be of type: {nn.Module}")
            self._modules[str(index)] = module
            return self

        return insert

    patch(nn.Sequential, "insert", broken)


@breaks("seq-empty")
def empty_container_gives_an_alias(patch):
    """Sequential gives a tensor that it did not change back as a new object."""

    def broken(original):
        def forward(self, x):
            output = original(self, x)
            return output.view_as(output) if output is x and isinstance(x, torch.Tensor) else output

        return forward

    patch(nn.Sequential, "forward", broken)


@breaks("seq-single-input")
def further_inputs_are_ignored(patch):
    """Sequential takes further inputs and ignores them."""

    def broken(original):
        return lambda self, x=None, *args, **kwargs: original(self, x)

    patch(nn.Sequential, "forward", broken)
