"""How what test_names.py decides could be broken."""

import re
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import nn

from test_modules.construction.breaking import adding
from torchclaims import breaks


@breaks("build-add-module-names")
def add_module_numbers(patch):
    """Sequential.add_module counts instead of taking the name."""

    def broken(original):
        return lambda self, name, module: original(self, str(len(self._modules)), module)

    patch(nn.Sequential, "add_module", broken)


@breaks("build-add-module-names", "seq-index-slice")
def index_goes_by_name(patch):
    """An index counts the children in the order of their names."""

    def broken(original):
        def __getitem__(self, index):
            if isinstance(index, slice):
                return original(self, index)
            return [module for _, module in sorted(self._modules.items())][index]

        return __getitem__

    patch(nn.Sequential, "__getitem__", broken)


@breaks("build-names-part-weights")
def entries_load_by_position(patch):
    """load_state_dict takes entries by position where the names differ."""

    def broken(original):
        def load_state_dict(self, entries, strict=True, **kwargs):
            own = list(self.state_dict())
            if len(own) == len(entries):
                entries = dict(zip(own, entries.values(), strict=True))
            return original(self, entries, strict, **kwargs)

        return load_state_dict

    patch(nn.Module, "load_state_dict", broken)


@breaks("build-names-part-weights")
def missing_biases_are_not_reported(patch):
    """load_state_dict does not report a missing bias."""

    def broken(original):
        def load(self, entries, prefix, metadata, strict, missing, *args):
            original(self, entries, prefix, metadata, strict, missing, *args)
            missing[:] = [name for name in missing if not name.endswith("bias")]

        return load

    patch(nn.Module, "_load_from_state_dict", broken)


@breaks("build-named-ways-interchange")
def pooling_has_an_entry(patch):
    """MaxPool2d has an entry, under its name."""

    def broken(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.register_buffer("kernel", torch.tensor(self.kernel_size))

        return __init__

    patch(nn.MaxPool2d, "__init__", broken)


@breaks("build-named-ways-interchange")
def loading_passes_over_biases(patch):
    """load_state_dict does not copy one-dimensional entries."""

    def broken(original):
        def load_state_dict(self, entries, *args, **kwargs):
            own = self.state_dict()
            kept = {name: own[name] if entry.dim() == 1 else entry for name, entry in entries.items()}
            return original(self, kept, *args, **kwargs)

        return load_state_dict

    patch(nn.Module, "load_state_dict", broken)


@breaks("build-plain-dict-refused")
def any_mapping_gives_names(patch):
    """Sequential takes its layers from any mapping."""

    def broken(original):
        def __init__(self, *args):
            mapping = len(args) == 1 and isinstance(args[0], Mapping)
            original(self, *([OrderedDict(args[0])] if mapping else args))

        return __init__

    patch(nn.Sequential, "__init__", broken)


@breaks("build-plain-dict-refused")
def several_ordered_dicts_are_joined(patch):
    """Sequential takes an OrderedDict beside other arguments for its layers."""

    def broken(original):
        def __init__(self, *args):
            flat = []
            for one in args:
                flat += one.values() if isinstance(one, OrderedDict) and len(args) > 1 else [one]
            original(self, *flat)

        return __init__

    patch(nn.Sequential, "__init__", broken)


@breaks("build-duplicate-replaces")
def first_of_a_name_stays(patch):
    """add_module leaves the layer that has the name already."""

    def add(original, self, name, module):
        if name not in self._modules:
            original(self, name, module)

    patch(nn.Module, "add_module", adding(add))


@breaks("build-duplicate-replaces")
def replaced_layer_moves_to_the_end(patch):
    """A layer that replaces another comes last."""

    def add(original, self, name, module):
        self._modules.pop(name, None)
        original(self, name, module)

    patch(nn.Module, "add_module", adding(add))


def _lenient(accepts):
    def add(original, self, name, module):
        if accepts(self, name):
            self._modules[name] = module
        else:
            original(self, name, module)

    return adding(add)


@breaks("build-name-rules")
def dots_are_accepted(patch):
    """add_module accepts a dot in a name."""
    patch(nn.Module, "add_module", _lenient(lambda module, name: isinstance(name, str) and "." in name))


@breaks("build-name-rules")
def empty_name_is_accepted(patch):
    """add_module accepts the empty name."""
    patch(nn.Module, "add_module", _lenient(lambda module, name: name == ""))


@breaks("build-name-rules")
def numbers_are_names(patch):
    """add_module accepts an int for a name."""
    patch(nn.Module, "add_module", _lenient(lambda module, name: isinstance(name, int)))


@breaks("build-name-rules")
def methods_may_be_hidden(patch):
    """add_module looks for attributes of the instance only, not for those of its class."""
    hidden = _lenient(lambda module, name: isinstance(name, str) and hasattr(type(module), name))
    patch(nn.Module, "add_module", hidden)


@breaks("build-name-rules")
def attributes_may_be_hidden(patch):
    """add_module looks for attributes of the class only, not for those of the instance."""
    patch(nn.Module, "add_module", _lenient(lambda module, name: isinstance(name, str) and name in vars(module)))


@breaks("build-name-rules")
def only_identifiers_are_names(patch):
    """add_module makes an identifier of a name."""

    def add(original, self, name, module):
        original(self, re.sub("[ -]", "_", name) if isinstance(name, str) else name, module)

    patch(nn.Module, "add_module", adding(add))


@breaks("build-name-rules")
def refused_layer_stays(patch):
    """A layer whose name is refused because it has a dot is registered before the error."""

    def add(original, self, name, module):
        if isinstance(name, str) and "." in name:
            self._modules[name] = module
        original(self, name, module)

    patch(nn.Module, "add_module", adding(add))


@breaks("seq-names")
def names_start_at_one(patch):
    """Sequential numbers its children from one."""

    def broken(original):
        def __init__(self, *args):
            if len(args) == 1 and isinstance(args[0], OrderedDict):
                original(self, *args)
            else:
                original(self, OrderedDict((str(number), one) for number, one in enumerate(args, start=1)))

        return __init__

    patch(nn.Sequential, "__init__", broken)


@breaks("seq-names")
def numbers_count_layers_with_parameters(patch):
    """Sequential numbers the layers that have parameters, and names the others by their class."""

    def broken(original):
        def __init__(self, *args):
            if len(args) == 1 and isinstance(args[0], OrderedDict):
                return original(self, *args)
            weighty = [place for place, one in enumerate(args) if list(one.parameters())]
            names = {place: str(number) for number, place in enumerate(weighty)}
            named = ((names.get(place, f"_{place}"), one) for place, one in enumerate(args))
            return original(self, OrderedDict(named))

        return __init__

    patch(nn.Sequential, "__init__", broken)


@breaks("seq-names")
def insert_replaces(patch):
    """insert puts the module in the place of the one that is there."""

    def broken(original):
        def insert(self, index, module):
            self._modules[str(index)] = module
            return self

        return insert

    patch(nn.Sequential, "insert", broken)


@breaks("seq-names")
def deletion_leaves_a_gap(patch):
    """del container[index] does not number the layers behind it anew."""

    def broken(original):
        def __delitem__(self, index):
            delattr(self, list(self._modules)[index])

        return __delitem__

    patch(nn.Sequential, "__delitem__", broken)


@breaks("build-duplicate-replaces")
def taken_names_are_refused(patch):
    """add_module refuses a name that a layer has already."""

    def broken(original):
        def add_module(self, name, module):
            if name in self._modules:
                raise KeyError(f"attribute '{name}' already exists")
            original(self, name, module)

        return add_module

    patch(nn.Module, "add_module", broken)
