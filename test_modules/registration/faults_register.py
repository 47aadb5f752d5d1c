"""How what test_register.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


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
