"""How what test_names.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


@breaks("module-nests", "module-recursive-search")
def search_stops_below_the_second_level(patch):
    """named_modules does not go below the second level of nesting."""

    def shallow(original):
        def named_modules(self, memo=None, prefix="", remove_duplicate=True):
            for name, module in original(self, memo, prefix, remove_duplicate):
                if name.count(".") < 2:
                    yield name, module

        return named_modules

    patch(nn.Module, "named_modules", shallow)


@breaks("module-param-name", "module-late-param", "module-init-both-forms")
def own_names_start_with_a_dot(patch):
    """The separator stands before the parameters of the module itself too."""

    def dotted(original):
        def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
            for name, parameter in original(self, prefix, recurse, remove_duplicate):
                yield name if "." in name else f".{name}", parameter

        return named_parameters

    patch(nn.Module, "named_parameters", dotted)


@breaks("module-sub-param-name", "module-recursive-search")
def names_lack_the_grandparent(patch):
    """A parameter's name has only its parent before it."""

    def short(original):
        def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
            for name, parameter in original(self, prefix, recurse, remove_duplicate):
                yield ".".join(name.split(".")[-2:]), parameter

        return named_parameters

    patch(nn.Module, "named_parameters", short)


@breaks("module-assignment-order", "module-names-and-sizes-printed", "module-stateful-keys")
def parameters_are_sorted_by_name(patch):
    """A module keeps its parameters sorted by name, not in the order of assignment."""

    def sorting(original):
        def register_parameter(self, name, param):
            original(self, name, param)
            for key in sorted(self._parameters):
                self._parameters[key] = self._parameters.pop(key)

        return register_parameter

    patch(nn.Module, "register_parameter", sorting)


@breaks("module-assignment-order")
def children_come_first(patch):
    """named_parameters yields the children's parameters before the module's own."""

    def last(original):
        def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
            found = original(self, prefix, recurse, remove_duplicate)
            return iter(sorted(found, key=lambda pair: "." not in pair[0]))

        return named_parameters

    patch(nn.Module, "named_parameters", last)


@breaks("named-dotted")
def recursion_cannot_be_turned_off(patch):
    """named_parameters recurses in any case."""

    def always(original):
        def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
            return original(self, prefix, True, remove_duplicate)

        return named_parameters

    patch(nn.Module, "named_parameters", always)


@breaks("module-tensor-print")
def printing_leaves_the_history_out(patch):
    """repr shows requires_grad=True for results too, instead of their grad_fn."""

    def without(original):
        def __repr__(self, *, tensor_contents=None):
            shown = original(self, tensor_contents=tensor_contents)
            return shown.split(", grad_fn=")[0] + ", requires_grad=True)" if "grad_fn=" in shown else shown

        return __repr__

    patch(torch.Tensor, "__repr__", without)


@breaks("module-tensor-print")
def printing_does_not_tell_parameters(patch):
    """repr of a Parameter is that of a tensor."""
    patch(nn.Parameter, "__repr__", lambda original: lambda self: torch.Tensor.__repr__(self))


@breaks("module-iterators")
def named_parameters_is_a_list(patch):
    """named_parameters collects a list."""
    patch(
        nn.Module,
        "named_parameters",
        lambda original: lambda self, *args, **kwargs: [*original(self, *args, **kwargs)],
    )


@breaks("module-iterators")
def parameters_run_backwards(patch):
    """parameters() yields the last parameter first."""
    patch(
        nn.Module,
        "parameters",
        lambda original: lambda self, recurse=True: iter([*original(self, recurse)][::-1]),
    )


@breaks("named-dotted", "module-nests")
def prefix_ends_with_a_dot(patch):
    """named_modules writes a dot after the prefix of the module itself."""

    def dotted(original):
        def named_modules(self, memo=None, prefix="", remove_duplicate=True):
            for name, module in original(self, memo, prefix, remove_duplicate):
                yield (f"{name}." if module is self else name), module

        return named_modules

    patch(nn.Module, "named_modules", dotted)


@breaks("named-params-dedup")
def duplicates_are_told_by_name(patch):
    """named_parameters yields a shared Parameter under each of its names."""

    def repeating(original):
        def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
            return original(self, prefix, recurse, False)

        return named_parameters

    patch(nn.Module, "named_parameters", repeating)


@breaks("named-params-dedup")
def duplicates_are_always_removed(patch):
    """named_parameters ignores remove_duplicate=False."""

    def removing(original):
        def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
            return original(self, prefix, recurse)

        return named_parameters

    patch(nn.Module, "named_parameters", removing)


@breaks("module-stateful-keys")
def state_lists_buffers_last(patch):
    """state_dict lists a module's own buffers after its children."""

    def last(original):
        def state_dict(self, *args, **kwargs):
            state = original(self, *args, **kwargs)
            for name in self._buffers:
                if name in state:
                    state[name] = state.pop(name)
            return state

        return state_dict

    patch(nn.Module, "state_dict", last)


@breaks("named-params-dedup")
def shared_modules_are_searched_once(patch):
    """named_parameters hands remove_duplicate=False on for parameters, not for modules."""

    def broken(original):
        def named_modules(self, memo=None, prefix="", remove_duplicate=True):
            return original(self, memo, prefix)

        return named_modules

    patch(nn.Module, "named_modules", broken)


@breaks("module-recursive-search")
def frozen_parameters_are_left_out(patch):
    """named_parameters passes over parameters that do not require a gradient."""

    def broken(original):
        def named_parameters(self, *args, **kwargs):
            return (pair for pair in original(self, *args, **kwargs) if pair[1].requires_grad)

        return named_parameters

    patch(nn.Module, "named_parameters", broken)
