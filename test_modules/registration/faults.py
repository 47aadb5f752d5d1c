"""How registration could be broken."""

import copy
import types

import torch
from torch import nn

from torchclaims import breaks

# --- names and order


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


# --- the constructor


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


# --- what is registered


def _registering(wanted):
    """Makes __setattr__ register what is ``wanted`` as if it were a Parameter."""

    def make(original):
        def __setattr__(self, name, value):
            if "_parameters" in self.__dict__ and wanted(self, name, value):
                value = nn.Parameter(torch.as_tensor(float(value)) if not torch.is_tensor(value) else value)
                self.__dict__.pop(name, None)
            original(self, name, value)

        return __setattr__

    return make


@breaks("module-attr-registers-param", "module-number-is-no-param", "param-op-plain")
def learnable_tensors_are_registered(patch):
    """A plain tensor that requires a gradient becomes a Parameter by its assignment."""

    def learnable(self, name, value):
        return type(value) is torch.Tensor and value.requires_grad and name not in self._buffers

    patch(nn.Module, "__setattr__", _registering(learnable))


@breaks("module-number-is-no-param")
def numbers_are_registered(patch):
    """A float becomes a Parameter by its assignment."""
    patch(
        nn.Module,
        "__setattr__",
        _registering(lambda self, name, value: type(value) is float and name.islower()),
    )


@breaks("module-attr-registers-param", "module-attr-kind-switch")
def attribute_stays_beside_the_parameter(patch):
    """Assigning a Parameter also leaves it, as a plain attribute, in the module's dictionary."""

    def leaving(original):
        def __setattr__(self, name, value):
            original(self, name, value)
            if isinstance(value, nn.Parameter):
                self.__dict__[name] = value

        return __setattr__

    patch(nn.Module, "__setattr__", leaving)


@breaks("module-late-param")
def registration_ends_with_the_first_call(patch):
    """Once a module is being called, assignments no longer register."""

    def closing(original):
        def __call__(self, *args, **kwargs):
            self.__dict__["_called"] = True
            return original(self, *args, **kwargs)

        return __call__

    def closed(original):
        def __setattr__(self, name, value):
            if self.__dict__.get("_called") and isinstance(value, nn.Parameter):
                object.__setattr__(self, name, value)
            else:
                original(self, name, value)

        return __setattr__

    patch(nn.Module, "__call__", closing)
    patch(nn.Module, "__setattr__", closed)


@breaks("module-late-param")
def late_parameters_come_first(patch):
    """A parameter that is assigned after the children goes before all others."""

    def first(original):
        def __setattr__(self, name, value):
            original(self, name, value)
            if isinstance(value, nn.Parameter) and name == "scale":
                for key in [key for key in self._parameters if key != name]:
                    self._parameters[key] = self._parameters.pop(key)

        return __setattr__

    patch(nn.Module, "__setattr__", first)


@breaks("module-plain-container-invisible", "plist-converts")
def parameter_list_registers_all_but_the_last(patch):
    """ParameterList leaves its last tensor a plain attribute."""

    def leaving(original):
        def extend(self, values):
            *rest, last = values
            original(self, rest)
            self.__dict__[str(len(self))] = last
            self._size += 1
            return self

        return extend

    patch(nn.ParameterList, "extend", leaving)


@breaks("plist-converts")
def parameter_list_copies(patch):
    """ParameterList makes Parameters of copies."""

    def copying(original):
        def extend(self, values):
            return original(self, [value.clone() if type(value) is torch.Tensor else value for value in values])

        return extend

    patch(nn.ParameterList, "extend", copying)


@breaks("lazy-materialise")
def lazy_module_stays_lazy(patch):
    """After its first call a lazy module keeps its class."""

    def staying(original):
        def infer(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.__class__ = nn.LazyLinear

        return infer

    patch(nn.LazyLinear, "_infer_parameters", staying)


@breaks("lazy-materialise")
def lazy_parameters_are_replaced(patch):
    """Materialising makes a new Parameter instead of filling the one that was handed out."""

    def replacing(original):
        def initialize_parameters(self, input):
            handed_out = self.weight
            original(self, input)
            self.weight = nn.Parameter(handed_out.detach().clone())

        return initialize_parameters

    patch(nn.LazyLinear, "initialize_parameters", replacing)


def _moving_to_the_end(kind, table):
    def make(original):
        def __setattr__(self, name, value):
            entries = self.__dict__.get(table, {})
            if isinstance(value, kind) and name in entries:
                del entries[name]
                if kind is torch.Tensor:
                    entries[name] = value
                    return
            original(self, name, value)

        return __setattr__

    return make


@breaks("module-replace-keeps-order")
def replaced_child_moves_to_the_end(patch):
    """A child assigned to a name that is taken goes to the end."""
    patch(nn.Module, "__setattr__", _moving_to_the_end(nn.Module, "_modules"))


@breaks("module-replace-keeps-order")
def replaced_parameter_moves_to_the_end(patch):
    """A Parameter assigned to a name that is taken goes to the end."""
    patch(nn.Module, "__setattr__", _moving_to_the_end(nn.Parameter, "_parameters"))


@breaks("module-replace-keeps-order")
def replaced_buffer_moves_to_the_end(patch):
    """A tensor assigned to a buffer's name goes to the end of the buffers."""
    patch(nn.Module, "__setattr__", _moving_to_the_end(torch.Tensor, "_buffers"))


@breaks("module-attr-kind-switch")
def replaced_child_stays_registered(patch):
    """A Parameter assigned over a child is registered beside it."""

    def beside(original):
        def __setattr__(self, name, value):
            child = self.__dict__.get("_modules", {}).get(name)
            original(self, name, value)
            if child is not None and isinstance(value, nn.Parameter):
                self._modules[name] = child

        return __setattr__

    patch(nn.Module, "__setattr__", beside)


@breaks("module-delete-unregisters")
def deletion_leaves_none(patch):
    """Deleting a parameter or buffer leaves its name behind, as None."""

    def leaving(original):
        def __delattr__(self, name):
            tables = [table for table in (self._parameters, self._buffers) if name in table]
            original(self, name)
            for table in tables:
                table[name] = None

        return __delattr__

    patch(nn.Module, "__delattr__", leaving)


@breaks("module-delete-unregisters")
def deletion_hides_a_child_only(patch):
    """Deleting a child leaves it in the state."""

    def hiding(original):
        def state_dict(self, *args, **kwargs):
            state = original(self, *args, **kwargs)
            for child in self.__dict__.get("_deleted", ()):
                state.update(child.state_dict(prefix="child."))
            return state

        return state_dict

    def remembering(original):
        def __delattr__(self, name):
            if name in self._modules:
                self.__dict__.setdefault("_deleted", []).append(self._modules[name])
            original(self, name)

        return __delattr__

    patch(nn.Module, "state_dict", hiding)
    patch(nn.Module, "__delattr__", remembering)


@breaks("module-assign-tensor-to-param")
def tensor_is_copied_into_the_parameter(patch):
    """A tensor assigned to a Parameter's name is copied into it."""

    def copying(original):
        def __setattr__(self, name, value):
            parameter = self.__dict__.get("_parameters", {}).get(name)
            if type(value) is torch.Tensor and parameter is not None:
                parameter.data.copy_(value)
            else:
                original(self, name, value)

        return __setattr__

    patch(nn.Module, "__setattr__", copying)


@breaks("module-assign-nonmodule-to-child")
def functions_are_taken_for_children(patch):
    """Whatever can be called may replace a child."""

    def lenient(original):
        def __setattr__(self, name, value):
            if name in self.__dict__.get("_modules", {}) and isinstance(value, types.BuiltinFunctionType):
                self._modules[name] = value
            else:
                original(self, name, value)

        return __setattr__

    patch(nn.Module, "__setattr__", lenient)


@breaks("module-assign-nonmodule-to-child")
def none_unregisters_a_child(patch):
    """None assigned to a child's name is passed over."""

    def unregistering(original):
        def __setattr__(self, name, value):
            if value is None and self.__dict__.get("_modules", {}).get(name) is not None:
                return
            original(self, name, value)

        return __setattr__

    patch(nn.Module, "__setattr__", unregistering)


# --- register_*


@breaks("register-param-none")
def none_parameter_is_a_plain_attribute(patch):
    """register_parameter(name, None) only sets the attribute."""

    def plain(original):
        def register_parameter(self, name, param):
            if param is None:
                object.__setattr__(self, name, None)
            else:
                original(self, name, param)

        return register_parameter

    patch(nn.Module, "register_parameter", plain)


@breaks("register-param-nonleaf")
def nonleaf_is_detached(patch):
    """register_parameter detaches what is no leaf."""

    def detaching(original):
        def register_parameter(self, name, param):
            original(self, name, nn.Parameter(param.detach()) if param is not None and param.grad_fn else param)

        return register_parameter

    patch(nn.Module, "register_parameter", detaching)


def _converting(kinds, convert):
    def make(original):
        def register(self, name, value=None, *args, **kwargs):
            return original(self, name, convert(value) if isinstance(value, kinds) else value, *args, **kwargs)

        return register

    return make


@breaks("register-type-errors")
def parameter_wraps_tensors(patch):
    """register_parameter wraps a plain tensor."""
    patch(nn.Module, "register_parameter", _converting(torch.Tensor, nn.Parameter))


@breaks("register-type-errors")
def buffer_converts_numbers(patch):
    """register_buffer makes tensors of numbers and lists."""
    patch(nn.Module, "register_buffer", _converting((float, list), torch.tensor))


@breaks("register-type-errors")
def class_is_constructed(patch):
    """add_module and register_module construct a class that they are given."""
    patch(nn.Module, "add_module", _converting(type, lambda cls: cls()))
    patch(nn.Module, "register_module", _converting(type, lambda cls: cls()))


def _lenient_about(names):
    def make(original):
        def register(self, name, value, *args, **kwargs):
            if name in names:
                self.__dict__.pop(name, None)
                table = {nn.Parameter: self._parameters, torch.Tensor: self._buffers}.get(type(value), self._modules)
                table[name] = value
            else:
                original(self, name, value, *args, **kwargs)

        return register

    return make


@breaks("register-name-rules")
def buffer_may_replace_an_attribute(patch):
    """register_buffer replaces an attribute of the same name."""
    patch(nn.Module, "register_buffer", _lenient_about(["taken"]))


@breaks("register-name-rules")
def child_may_hide_a_method(patch):
    """add_module does not look among the methods."""
    patch(nn.Module, "add_module", _lenient_about(["forward"]))


@breaks("register-name-rules")
def parameter_name_may_be_dotted(patch):
    """register_parameter accepts a dot."""
    patch(nn.Module, "register_parameter", _lenient_about(["a.b"]))


@breaks("register-name-rules")
def parameter_name_may_be_empty(patch):
    """register_parameter accepts the empty name."""
    patch(nn.Module, "register_parameter", _lenient_about([""]))


@breaks("register-buffer-persistent", "register-buffer-attr-update")
def persistence_is_ignored(patch):
    """register_buffer saves every buffer."""

    def ignoring(original):
        def register_buffer(self, name, tensor, persistent=True):
            original(self, name, tensor)

        return register_buffer

    patch(nn.Module, "register_buffer", ignoring)


@breaks("register-buffer-persistent")
def nonpersistent_buffers_are_not_converted(patch):
    """Conversion passes over non-persistent buffers."""

    def passing_over(original):
        def to(self, *args, **kwargs):
            lost = {name: self._buffers[name] for name in self._non_persistent_buffers_set}
            original(self, *args, **kwargs)
            self._buffers.update(lost)
            return self

        return to

    patch(nn.Module, "to", passing_over)


@breaks("register-buffer-attr-update")
def buffer_is_copied(patch):
    """A tensor assigned to a buffer's name is copied, once the name is taken."""

    def copying(original):
        def __setattr__(self, name, value):
            taken = name in self.__dict__.get("_buffers", {})
            original(self, name, value.clone() if taken and torch.is_tensor(value) else value)

        return __setattr__

    patch(nn.Module, "__setattr__", copying)


# --- Parameter


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


# --- conversion, mode, state


@breaks("module-submodule-converted")
def conversion_reaches_children_only(patch):
    """Conversion takes the module's own and its children's tensors, not theirs."""

    def shallow(original):
        def to(self, *args, **kwargs):
            deeper = [module for child in self.children() for module in child.modules() if module is not child]
            kept = [(one, one.data) for module in deeper for one in module.parameters(recurse=False)]
            original(self, *args, **kwargs)
            for parameter, data in kept:
                parameter.data = data
            return self

        return to

    patch(nn.Module, "to", shallow)


@breaks("module-submodule-converted")
def conversion_makes_new_parameters(patch):
    """A conversion that changes the dtype makes new Parameters."""

    def renewing(original):
        def to(self, *args, **kwargs):
            original(self, *args, **kwargs)
            for module in self.modules():
                for name, parameter in module._parameters.items():
                    module._parameters[name] = copy.copy(parameter)
            return self

        return to

    patch(nn.Module, "to", renewing)


@breaks("cast-plain-attr")
def plain_tensors_are_converted(patch):
    """Conversion also takes tensors that are plain attributes."""

    def taking(original):
        def to(self, *args, **kwargs):
            original(self, *args, **kwargs)
            for name, value in vars(self).items():
                if torch.is_tensor(value):
                    vars(self)[name] = value.to(*args, **kwargs)
            return self

        return to

    patch(nn.Module, "to", taking)


@breaks("mode-eval-train")
def mode_reaches_children_only(patch):
    """train() sets the module and its children, not theirs."""

    def shallow(original):
        def train(self, mode=True):
            self.training = mode
            for child in self.children():
                child.training = mode
            return self

        return train

    patch(nn.Module, "train", shallow)


@breaks("mode-eval-train")
def mode_returns_nothing(patch):
    """eval() returns None."""

    def silent(original):
        def eval(self):
            original(self)

        return eval

    patch(nn.Module, "eval", silent)


@breaks("mode-eval-train")
def mode_that_is_set_is_not_passed_on(patch):
    """train(mode) does nothing where the module itself is in that mode already."""

    def early(original):
        def train(self, mode=True):
            return self if self.training == mode else original(self, mode)

        return train

    patch(nn.Module, "train", early)


def _state_dict(change):
    def make(original):
        def state_dict(self, *args, **kwargs):
            return change(original(self, *args, **kwargs))

        return state_dict

    return make


@breaks("state-detached-alias")
def state_is_a_copy(patch):
    """state_dict copies."""

    def copying(state):
        for name, value in state.items():
            state[name] = value.clone()
        return state

    patch(nn.Module, "state_dict", _state_dict(copying))


@breaks("state-detached-alias")
def state_is_never_detached(patch):
    """state_dict gives the Parameters themselves in any case."""

    def live(original):
        def state_dict(self, *args, **kwargs):
            return original(self, *args, **{**kwargs, "keep_vars": True})

        return state_dict

    patch(nn.Module, "state_dict", live)


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


@breaks("load-strict-keys")
def nested_unexpected_keys_pass(patch):
    """load_state_dict drops keys of a child that the child does not know."""

    def dropping(original):
        def load_state_dict(self, state_dict, *args, **kwargs):
            known = self.state_dict()
            kept = {key: value for key, value in state_dict.items() if key in known or "." not in key}
            return original(self, kept, *args, **kwargs)

        return load_state_dict

    patch(nn.Module, "load_state_dict", dropping)


@breaks("load-strict-keys")
def buffers_may_be_missing(patch):
    """load_state_dict fills in buffers that are missing."""

    def filling(original):
        def load_state_dict(self, state_dict, *args, **kwargs):
            buffers = {name: value for name, value in self.named_buffers() if name in self.state_dict()}
            state = copy.copy(state_dict)
            state.update({name: value for name, value in buffers.items() if name not in state})
            return original(self, state, *args, **kwargs)

        return load_state_dict

    patch(nn.Module, "load_state_dict", filling)


@breaks("load-strict-keys")
def nonstrict_loads_nothing_where_keys_miss(patch):
    """strict=False returns the keys, but loads only where all match."""

    def reluctant(original):
        def load_state_dict(self, state_dict, strict=True, **kwargs):
            if not strict and state_dict.keys() != self.state_dict().keys():
                kept = {key: value.clone() for key, value in self.state_dict().items()}
                result = original(self, state_dict, strict, **kwargs)
                original(self, kept, **kwargs)
                return result
            return original(self, state_dict, strict, **kwargs)

        return load_state_dict

    patch(nn.Module, "load_state_dict", reluctant)


@breaks("load-copies")
def loading_takes_the_dtype_of_the_state(patch):
    """Loading lets a Parameter take over the loaded tensor."""

    def taking(original):
        def load_state_dict(self, state_dict, *args, **kwargs):
            result = original(self, state_dict, *args, **kwargs)
            for name, parameter in self.named_parameters():
                if name in state_dict:
                    parameter.data = state_dict[name].detach()
            return result

        return load_state_dict

    patch(nn.Module, "load_state_dict", taking)


@breaks("load-copies")
def loading_makes_new_parameters(patch):
    """Loading replaces the Parameters."""

    def replacing(original):
        def load_state_dict(self, *args, **kwargs):
            result = original(self, *args, **kwargs)
            for module in self.modules():
                for name, parameter in module._parameters.items():
                    module._parameters[name] = nn.Parameter(parameter.detach().clone())
            return result

        return load_state_dict

    patch(nn.Module, "load_state_dict", replacing)


@breaks("load-size-mismatch")
def nonstrict_loading_broadcasts(patch):
    """strict=False broadcasts a tensor of another size into the Parameter."""

    def broadcasting(original):
        def load_state_dict(self, state_dict, strict=True, **kwargs):
            if not strict:
                shapes = {name: value.shape for name, value in self.state_dict().items()}
                state_dict = {
                    name: value.expand(shapes[name]) if name in shapes else value for name, value in state_dict.items()
                }
            return original(self, state_dict, strict, **kwargs)

        return load_state_dict

    patch(nn.Module, "load_state_dict", broadcasting)
