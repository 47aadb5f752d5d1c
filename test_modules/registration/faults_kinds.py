"""How what test_kinds.py decides could be broken, or mended where it deviates."""

import torch
from torch import nn

from torchclaims import breaks


def through(change):
    """A method that goes through ``change(original, self, *args)``."""

    def make(original):
        def method(self, *args, **kwargs):
            return change(original, self, *args, **kwargs)

        return method

    return make


@breaks("module-constructor-arguments")
def arguments_are_swallowed(patch):
    """The constructor ignores keyword arguments that are None."""

    def change(original, self, *args, **kwargs):
        original(self, *args, **{key: value for key, value in kwargs.items() if value is not None})

    patch(nn.Module, "__init__", through(change))


@breaks("register-before-init")
def early_buffers_are_attributes(patch):
    """register_buffer before the constructor sets a plain attribute."""

    def change(original, self, name, tensor, persistent=True):
        if "_buffers" in vars(self):
            original(self, name, tensor, persistent)
        else:
            object.__setattr__(self, name, tensor)

    patch(nn.Module, "register_buffer", through(change))


@breaks("register-module-alias")
def empty_places_are_not_kept(patch):
    """register_module and add_module ignore None."""

    def change(original, self, name, module):
        if module is None:
            object.__setattr__(self, name, None)
        else:
            original(self, name, module)

    patch(nn.Module, "add_module", through(change))


@breaks("register-again")
def persistence_stays(patch):
    """A buffer that is registered again stays persistent."""

    def change(original, self, name, tensor, persistent=True):
        known = name in self._buffers and name not in self._non_persistent_buffers_set
        original(self, name, tensor, persistent or known)

    patch(nn.Module, "register_buffer", through(change))


@breaks("register-again")
def replaced_children_move_to_the_end(patch):
    """A child that is registered again is the last one."""

    def change(original, self, name, module):
        self._modules.pop(name, None)
        original(self, name, module)

    patch(nn.Module, "register_module", through(change))


@breaks("register-other-kind")
def buffers_replace_parameters(patch):
    """register_buffer takes a Parameter's name over."""

    def change(original, self, name, tensor, persistent=True):
        self._parameters.pop(name, None)
        original(self, name, tensor, persistent)

    patch(nn.Module, "register_buffer", through(change))


@breaks("register-other-kind")
def buffers_stand_beside_children(patch):
    """register_buffer does not look among children."""

    def change(original, self, name, tensor, persistent=True):
        if name in self._modules:
            self._buffers[name] = tensor
        else:
            original(self, name, tensor, persistent)

    patch(nn.Module, "register_buffer", through(change))


@breaks("register-param-reserved")
def modules_replace_parameters(patch):
    """A Module takes a Parameter's place."""

    def change(original, self, name, value):
        if isinstance(value, nn.Module):
            self.__dict__.get("_parameters", {}).pop(name, None)
        original(self, name, value)

    patch(nn.Module, "__setattr__", through(change))


@breaks("register-param-reserved")
def false_is_none(patch):
    """False empties a Parameter's place."""

    def change(original, self, name, value):
        original(self, name, None if value is False and name in self.__dict__.get("_parameters", {}) else value)

    patch(nn.Module, "__setattr__", through(change))


@breaks("register-buffer-none")
def reserved_buffers_are_persistent(patch):
    """A tensor that is assigned to a buffer that is None becomes persistent."""

    def change(original, self, name, value):
        empty = self.__dict__.get("_buffers", {}).get(name, 0) is None
        original(self, name, value)
        if empty:
            self._non_persistent_buffers_set.discard(name)

    patch(nn.Module, "__setattr__", through(change))


@breaks("register-buffer-reserved")
def mended_reservation(patch):
    """Mended: a buffer's name takes buffers only."""

    def change(original, self, name, value):
        if name in self.__dict__.get("_buffers", {}) and isinstance(value, (nn.Parameter, nn.Module)):
            raise TypeError(f"cannot assign '{type(value).__name__}' as buffer '{name}'")
        original(self, name, value)

    patch(nn.Module, "__setattr__", through(change))


@breaks("register-buffer-kind")
def numbers_become_buffers(patch):
    """A number that is assigned to a buffer's name becomes a tensor."""

    def change(original, self, name, value):
        if name in self.__dict__.get("_buffers", {}) and type(value) is int:
            value = torch.tensor(value)
        original(self, name, value)

    patch(nn.Module, "__setattr__", through(change))


@breaks("register-buffer-kind")
def other_objects_hide_buffers(patch):
    """What is no tensor becomes a plain attribute beside a buffer that is not persistent."""

    def change(original, self, name, value):
        if name in self.__dict__.get("_non_persistent_buffers_set", ()) and not torch.is_tensor(value):
            self.__dict__[name] = value
        else:
            original(self, name, value)

    patch(nn.Module, "__setattr__", through(change))


@breaks("module-attr-registers-child")
def children_stand_beside_buffers(patch):
    """A Module assigned to a buffer's name leaves the buffer."""

    def change(original, self, name, value):
        buffer = self.__dict__.get("_buffers", {}).get(name)
        original(self, name, value)
        if isinstance(value, nn.Module) and buffer is not None:
            self._buffers[name] = buffer

    patch(nn.Module, "__setattr__", through(change))


@breaks("module-attr-registers-child")
def attributes_hide_children(patch):
    """A Module assigned to a plain attribute's name is an attribute too."""

    def change(original, self, name, value):
        known = name in self.__dict__
        original(self, name, value)
        if isinstance(value, nn.Module) and known:
            self.__dict__[name] = value

    patch(nn.Module, "__setattr__", through(change))


@breaks("module-delete-forgets")
def deleted_buffers_stay_fleeting(patch):
    """A name that was a buffer that is not persistent is not saved later."""

    def change(original, self, name):
        kept = name in self._non_persistent_buffers_set
        original(self, name)
        if kept:
            self._hidden = name

    def save(original, self, destination, prefix, keep_vars):
        original(self, destination, prefix, keep_vars)
        destination.pop(prefix + self.__dict__.get("_hidden", ""), None)

    patch(nn.Module, "__delattr__", through(change))
    patch(nn.Module, "_save_to_state_dict", through(save))


@breaks("module-delete-forgets")
def deleting_nothing_is_silent(patch):
    """del of a name that is not there does nothing."""

    def change(original, self, name):
        if hasattr(self, name):
            original(self, name)

    patch(nn.Module, "__delattr__", through(change))


@breaks("module-dir")
def buffers_are_not_listed(patch):
    """dir() leaves buffers out."""

    def change(original, self):
        return [name for name in original(self) if name not in self._buffers]

    patch(nn.Module, "__dir__", through(change))


@breaks("module-dir")
def numbers_are_listed(patch):
    """dir() of a ModuleList lists numbers."""
    patch(nn.ModuleList, "__dir__", through(lambda original, self: [*original(self), *self._modules]))


@breaks("module-extra-repr")
def one_line_stands_alone(patch):
    """One line of extra_repr stands on a line of its own."""

    def change(original, self):
        extra = self.extra_repr()
        single = extra and "\n" not in extra and not self._modules
        return f"{self._get_name()}(\n  {extra}\n)" if single else original(self)

    patch(nn.Module, "__repr__", through(change))


@breaks("module-extra-repr")
def extra_lines_come_last(patch):
    """The lines of extra_repr stand behind the children."""

    def change(original, self):
        lines = original(self).split("\n")
        if self._modules and self.extra_repr():
            lines[-1:-1] = [lines.pop(1)]
        return "\n".join(lines)

    patch(nn.Module, "__repr__", through(change))


@breaks("module-print-nested")
def empty_children_are_not_printed(patch):
    """A child that is None is not printed."""

    def change(original, self):
        return "\n".join(line for line in original(self).split("\n") if not line.endswith("): None"))

    patch(nn.Module, "__repr__", through(change))


@breaks("module-print-nested")
def third_level_is_not_indented(patch):
    """The third level is indented as the second."""
    patch(nn.Module, "__repr__", through(lambda original, self: original(self).replace("\n      (", "\n    (")))


def _hooks(kind):
    register = {
        "parameter": nn.modules.module.register_module_parameter_registration_hook,
        "buffer": nn.modules.module.register_module_buffer_registration_hook,
    }[kind]
    handle = register(lambda *_: None)
    table = handle.hooks_dict_ref()
    handle.remove()
    return table


@breaks("register-hooks-called", "register-hooks-replace")
def assignments_call_no_hooks(patch):
    """Assigning a Module calls no registration hook."""

    def change(original, self, name, value):
        if isinstance(value, nn.Module) and name in self.__dict__.get("_modules", {}):
            self._modules[name] = value
        else:
            original(self, name, value)

    patch(nn.Module, "__setattr__", through(change))


@breaks("register-hooks-called")
def hooks_run_after_registration(patch):
    """Registration hooks of parameters run once the parameter is there."""

    def change(original, self, name, param):
        if param is not None and not hasattr(self, name):
            self._parameters[name] = param
        original(self, name, param)

    patch(nn.Module, "register_parameter", through(change))


@breaks("register-hooks-replace")
def hooks_of_buffers_only_look(patch):
    """What a registration hook of buffers returns is ignored."""

    def change(original, self, name, tensor, persistent=True):
        original(self, name, tensor, persistent)
        self._buffers[name] = tensor

    patch(nn.Module, "register_buffer", through(change))


@breaks("register-hooks-of-none")
def mended_hooks(patch):
    """Mended: the hook of parameters is called with None too."""

    def change(original, self, name, param):
        original(self, name, param)
        if param is None:
            for hook in _hooks("parameter").values():
                hook(self, name, param)

    patch(nn.Module, "register_parameter", through(change))
