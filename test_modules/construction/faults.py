"""How the ways to build a network, and nn.Sequential, could be broken."""

import copy
import difflib
import re
from collections import OrderedDict
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import breaks


@breaks("build-ways-agree", "build-functional-equal")
def relu_module_clips_at_six(patch):
    """nn.ReLU clips at six, F.relu does not."""

    def broken(original):
        return lambda self, x: F.relu6(x)

    patch(nn.ReLU, "forward", broken)


@breaks("build-functional-equal")
def relu_module_hides_nan(patch):
    """nn.ReLU makes zero of NaN, F.relu keeps it."""

    def broken(original):
        return lambda self, x: original(self, torch.where(x.isnan(), torch.zeros_like(x), x))

    patch(nn.ReLU, "forward", broken)


@breaks("build-functional-equal")
def relu_module_passes_gradient_at_zero(patch):
    """The gradient of nn.ReLU goes through at zero."""

    def broken(original):
        return lambda self, x: torch.where(x < 0, torch.zeros_like(x), x)

    patch(nn.ReLU, "forward", broken)


@breaks("build-functional-equal")
def pool_module_forgets_dilation(patch):
    """nn.MaxPool2d does not hand on its dilation."""

    def broken(original):
        return lambda self, x: F.max_pool2d(x, self.kernel_size, self.stride, self.padding, 1, self.ceil_mode)

    patch(nn.MaxPool2d, "forward", broken)


@breaks("build-ways-agree")
def sequential_joins_linear_layers(patch):
    """Sequential leaves out a ReLU between linear layers."""

    def broken(original):
        def forward(self, x):
            for module in self:
                if not (isinstance(module, nn.ReLU) and x.dim() == 2):
                    x = module(x)
            return x

        return forward

    patch(nn.Sequential, "forward", broken)


@breaks("build-same-initialisation")
def sequential_draws_again(patch):
    """Sequential resets the parameters of the layers that it is given."""

    def broken(original):
        def __init__(self, *args):
            original(self, *args)
            for module in self:
                if isinstance(module, nn.Linear):
                    module.reset_parameters()

        return __init__

    patch(nn.Sequential, "__init__", broken)


@breaks("build-same-initialisation")
def registration_draws_a_number(patch):
    """add_module advances the random generator."""

    def broken(original):
        def add_module(self, name, module):
            torch.rand(1)
            original(self, name, module)

        return add_module

    patch(nn.Module, "add_module", broken)


@breaks("build-wrong-attribute-fails")
def closest_attribute_answers(patch):
    """A missing attribute gives the registered module of the most similar name, in the module or below."""

    def broken(original):
        def __getattr__(self, name):
            try:
                return original(self, name)
            except AttributeError:
                below = {path.rpartition(".")[2]: one for path, one in self.named_modules() if path}
                close = difflib.get_close_matches(name, below, 1)
                if not close:
                    raise
                return below[close[0]]

        return __getattr__

    patch(nn.Module, "__getattr__", broken)


@breaks("build-wrong-attribute-fails")
def missing_attribute_does_not_say_of_what(patch):
    """The AttributeError speaks of a Module instead of the class."""

    def broken(original):
        def __getattr__(self, name):
            try:
                return original(self, name)
            except AttributeError:
                raise AttributeError(f"'Module' object has no attribute '{name}'") from None

        return __getattr__

    patch(nn.Module, "__getattr__", broken)


@breaks("build-print-needs-no-forward")
def print_sorts_by_name(patch):
    """print shows children in the order of their names."""

    def broken(original):
        def representation(self):
            ordered = self._modules
            self.__dict__["_modules"] = OrderedDict(sorted(ordered.items()))
            try:
                return original(self)
            finally:
                self.__dict__["_modules"] = ordered

        return representation

    patch(nn.Module, "__repr__", broken)


@breaks("build-functions-leave-no-trace")
def functional_relu_registers_a_module(patch):
    """The first F.relu that a module calls stays registered with it, as a trace would record it."""
    running = []

    def calling(original):
        def call(self, *args, **kwargs):
            running.append(self)
            try:
                return original(self, *args, **kwargs)
            finally:
                running.pop()

        return call

    def recording(original):
        def relu(x, inplace=False):
            if running and not isinstance(running[-1], nn.ReLU):
                running[-1].add_module("relu", nn.ReLU())
            return original(x, inplace)

        return relu

    patch(nn.Module, "__call__", calling)
    patch(F, "relu", recording)


@breaks("build-functions-leave-no-trace")
def modules_leaves_out_what_has_no_state(patch):
    """modules() passes over children without parameters."""

    def broken(original):
        return lambda self: (one for one in original(self) if any(True for _ in one.parameters()))

    patch(nn.Module, "modules", broken)


@breaks("build-linear-fixes-size")
def linear_ignores_further_features(patch):
    """linear takes the first features of an input that has too many."""

    def broken(original):
        return lambda x, weight, bias=None: original(x[..., : weight.size(1)], weight, bias)

    patch(F, "linear", broken)


@breaks("build-linear-fixes-size")
def pooling_rounds_up(patch):
    """Pooling keeps a window that is cut off by the edge, as with ceil_mode."""

    def broken(original):
        def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, **kwargs):
            return original(x, kernel_size, stride, padding, dilation, True, **kwargs)

        return max_pool2d

    patch(F, "max_pool2d", broken)


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


def _adding(add):
    """What makes an ``add_module`` that goes through ``add(original, self, name, module)``."""
    return lambda original: lambda self, name, module: add(original, self, name, module)


@breaks("build-duplicate-replaces")
def first_of_a_name_stays(patch):
    """add_module leaves the layer that has the name already."""

    def add(original, self, name, module):
        if name not in self._modules:
            original(self, name, module)

    patch(nn.Module, "add_module", _adding(add))


@breaks("build-duplicate-replaces")
def replaced_layer_moves_to_the_end(patch):
    """A layer that replaces another comes last."""

    def add(original, self, name, module):
        self._modules.pop(name, None)
        original(self, name, module)

    patch(nn.Module, "add_module", _adding(add))


def _lenient(accepts):
    def add(original, self, name, module):
        if accepts(self, name):
            self._modules[name] = module
        else:
            original(self, name, module)

    return _adding(add)


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

    patch(nn.Module, "add_module", _adding(add))


@breaks("build-name-rules")
def refused_layer_stays(patch):
    """A layer whose name is refused because it has a dot is registered before the error."""

    def add(original, self, name, module):
        if isinstance(name, str) and "." in name:
            self._modules[name] = module
        original(self, name, module)

    patch(nn.Module, "add_module", _adding(add))


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

    patch(nn.Module, "add_module", _adding(add))


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
