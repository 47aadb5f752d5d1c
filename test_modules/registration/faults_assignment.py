"""How what test_assignment.py decides could be broken."""

import types

import torch
from torch import nn

from torchclaims import breaks


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


@breaks("lazy-materialise")
def lazy_linear_counts_the_second_dimension(patch):
    """LazyLinear takes in_features from the dimension after the batch, not from the last."""

    def broken(original):
        return lambda self, input, *args: original(self, input.movedim(1, -1), *args)

    patch(nn.LazyLinear, "initialize_parameters", broken)
