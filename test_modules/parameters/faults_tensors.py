"""How Parameter, Buffer and the uninitialised tensors could be broken, or mended where they deviate."""

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter, UninitializedTensorMixin

from torchclaims import breaks


def through(change):
    """A method that goes through ``change(original, self, *args)``."""

    def make(original):
        def method(self, *args, **kwargs):
            return change(original, self, *args, **kwargs)

        return method

    return make


def _new(change):
    """A constructor that passes what it made through ``change(made, data, **options)``."""

    def make(original):
        def __new__(cls, data=None, *args, **kwargs):
            return change(original(cls, data, *args, **kwargs), data)

        return staticmethod(__new__)

    return make


@breaks("param-empty")
def nothing_is_one_number(patch):
    """A Parameter of nothing holds one number."""
    patch(nn.Parameter, "__new__", _new(lambda made, data: nn.Parameter(torch.zeros(1)) if data is None else made))


@breaks("param-of-parameter")
def parameters_are_passed_on(patch):
    """A Parameter of a Parameter that requires a gradient is that one."""

    def change(made, data):
        return data if type(data) is nn.Parameter and data.requires_grad and made.requires_grad else made

    patch(nn.Parameter, "__new__", _new(change))


@breaks("param-of-parameter")
def frozen_parameters_stay_frozen(patch):
    """A Parameter of a frozen one is frozen."""

    def change(made, data):
        return made.requires_grad_(False) if type(data) is nn.Parameter and not data.requires_grad else made

    patch(nn.Parameter, "__new__", _new(change))


@breaks("param-copied-saved")
def copies_require_gradients(patch):
    """A deep copy requires a gradient in any case."""

    def change(original, self, memo):
        return original(self, memo).requires_grad_()

    patch(nn.Parameter, "__deepcopy__", through(change))


@breaks("param-copied-saved")
def saved_parameters_are_thawed(patch):
    """A Parameter that was saved requires a gradient when it is loaded."""

    def change(original, self, protocol):
        rebuild, (data, _, *rest) = original(self, protocol)
        return rebuild, (data, True, *rest)

    patch(nn.Parameter, "__reduce_ex__", through(change))


@breaks("param-tensor-subclass")
def subclasses_are_lost(patch):
    """A Parameter of a subclass is a plain Parameter."""

    def make(original):
        def __new__(cls, data=None, requires_grad=True):
            plain = data.as_subclass(torch.Tensor) if isinstance(data, torch.Tensor) else data
            return original(cls, plain, requires_grad)

        return staticmethod(__new__)

    patch(nn.Parameter, "__new__", make)


@breaks("param-tensor-subclass")
def subclasses_are_no_parameters(patch):
    """isinstance asks for the class only."""

    def change(original, self, instance):
        return type.__instancecheck__(self, instance)

    patch(type(nn.Parameter), "__instancecheck__", through(change))


# --- Buffer


def _buffer(change):
    def make(original):
        def __new__(cls, data=None, *, persistent=True):
            return change(original, cls, data, persistent)

        return staticmethod(__new__)

    return make


@breaks("buffer-persistent", "buffer-replaced")
def fleeting_buffers_are_saved(patch):
    """A Buffer is persistent in any case."""
    patch(nn.Buffer, "__new__", _buffer(lambda original, cls, data, persistent: original(cls, data)))


@breaks("buffer-registers", "buffer-instance")
def buffers_are_plain(patch):
    """nn.Buffer returns a plain Tensor."""
    patch(nn.Buffer, "__new__", _buffer(lambda original, cls, data, persistent: original(cls, data).detach()))


@breaks("buffer-registers")
def buffers_are_parameters_too(patch):
    """A Buffer is found by parameters() as well."""

    def change(original, self, *args, **kwargs):
        return iter([*original(self, *args, **kwargs), *self.buffers()])

    patch(nn.Module, "parameters", through(change))


@breaks("buffer-replaced")
def new_buffers_keep_the_old_setting(patch):
    """A Buffer that replaces one is as persistent as that was."""

    def change(original, self, name, tensor, persistent=True):
        known = name in self._buffers
        kept = name not in self._non_persistent_buffers_set
        original(self, name, tensor, kept if known else persistent)

    patch(nn.Module, "register_buffer", through(change))


@breaks("buffer-replaced")
def tensors_make_buffers_persistent(patch):
    """A Tensor that replaces a Buffer is persistent."""

    def change(original, self, name, value):
        original(self, name, value)
        if type(value) is torch.Tensor and not hasattr(value, "persistent"):
            self._non_persistent_buffers_set.discard(name)

    patch(nn.Module, "__setattr__", through(change))


@breaks("buffer-instance")
def all_tensors_are_buffers(patch):
    """isinstance takes any Tensor for a Buffer."""

    def change(original, self, instance):
        return isinstance(instance, torch.Tensor) if self is nn.Buffer else original(self, instance)

    patch(type(nn.Buffer), "__instancecheck__", through(change))


@breaks("buffer-shares")
def buffers_are_copied(patch):
    """A Buffer is a copy of its data."""

    def change(original, cls, data, persistent):
        return original(cls, data if data is None else data.clone(), persistent=persistent)

    patch(nn.Buffer, "__new__", _buffer(change))


@breaks("buffer-shares")
def buffers_require_no_gradient(patch):
    """A Buffer requires no gradient."""

    def change(original, cls, data, persistent):
        return original(cls, data, persistent=persistent).requires_grad_(False)

    patch(nn.Buffer, "__new__", _buffer(change))


class _Subclass(torch.Tensor):
    """What mends the class of buffers."""


@breaks("buffer-subclass")
def mended_class(patch):
    """Mended: a Buffer is of a subclass of Tensor."""

    def change(original, cls, data, persistent):
        return original(cls, data, persistent=persistent).as_subclass(_Subclass)

    patch(nn.Buffer, "__new__", _buffer(change))


@breaks("buffer-over-attribute")
def mended_assignment(patch):
    """Mended: a Buffer takes a plain attribute's place."""

    def change(original, self, name, value):
        if isinstance(value, nn.Buffer):
            vars(self).pop(name, None)
        original(self, name, value)

    patch(nn.Module, "__setattr__", through(change))


# --- uninitialised tensors


@breaks("uninit-kinds")
def uninitialised_parameters_are_frozen(patch):
    """An UninitializedParameter requires no gradient by default."""

    def make(original):
        def __new__(cls, requires_grad=False, device=None, dtype=None):
            return original(cls, requires_grad, device, dtype)

        return staticmethod(__new__)

    patch(UninitializedParameter, "__new__", make)


@breaks("uninit-kinds")
def printed_as_empty(patch):
    """An uninitialised tensor prints as an empty one."""
    patch(UninitializedTensorMixin, "__repr__", through(lambda original, self: "tensor([])"))


@breaks("uninit-no-shape")
def shape_is_empty(patch):
    """The shape of an uninitialised tensor is that of an empty one."""
    patch(UninitializedTensorMixin, "shape", lambda original: property(lambda self: torch.Size([0])))


@breaks("uninit-no-operations")
def reductions_are_let_through(patch):
    """Reductions see an empty tensor."""
    patch(
        UninitializedTensorMixin,
        "_allowed_methods",
        lambda original: [*original, torch.Tensor.sum, torch.Tensor.numel],
    )


@breaks("uninit-converts", "lazy-converted-first")
def conversions_pass_over_them(patch):
    """Conversion of a module passes over uninitialised Parameters."""

    def change(original, self, function, *args, **kwargs):
        kept = {name: one for name, one in self._parameters.items() if isinstance(one, UninitializedParameter)}
        places = list(self._parameters)
        for name in kept:
            del self._parameters[name]
        original(self, function, *args, **kwargs)
        self._parameters.update(kept)
        for name in places:
            self._parameters[name] = self._parameters.pop(name)
        return self

    patch(nn.Module, "_apply", through(change))


@breaks("uninit-meta")
def mended_meta(patch):
    """Mended: it stays uninitialised on the meta device."""

    def change(original, self, *args, **kwargs):
        names = [name for name, one in self._parameters.items() if isinstance(one, UninitializedParameter)]
        original(self, *args, **kwargs)
        for name in names:
            if not isinstance(self._parameters[name], UninitializedParameter):
                self._parameters[name] = UninitializedParameter(device=self._parameters[name].device)
        return self

    patch(nn.Module, "to", through(change))


@breaks("uninit-converts-all")
def mended_conversions(patch):
    """Mended: bfloat16() and type() are conversions like the others."""
    patch(nn.Module, "bfloat16", through(lambda original, self: self.to(torch.bfloat16)))
    patch(nn.Module, "type", through(lambda original, self, dtype: self.to(dtype)))


@breaks("uninit-materialize")
def materialized_tensors_require_gradients(patch):
    """A materialised tensor requires a gradient."""

    def change(original, self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.requires_grad_()

    patch(UninitializedTensorMixin, "materialize", through(change))


@breaks("uninit-materialize")
def materialize_ignores_dtype(patch):
    """materialize ignores its dtype."""

    def change(original, self, shape, device=None, dtype=None):
        original(self, shape, device)

    patch(UninitializedTensorMixin, "materialize", through(change))


@breaks("uninit-materialize")
def materialize_takes_the_default_dtype(patch):
    """materialize makes buffers of the default dtype."""

    def change(original, self, shape, device=None, dtype=None):
        buffer = isinstance(self, UninitializedBuffer)
        original(self, shape, device, dtype or (torch.get_default_dtype() if buffer else None))

    patch(UninitializedTensorMixin, "materialize", through(change))


@breaks("uninit-deepcopy")
def copies_forget_their_dtype(patch):
    """A deep copy has the default dtype."""

    def change(original, self, memo):
        result = UninitializedParameter(self.requires_grad)
        return memo.setdefault(id(self), result)

    patch(UninitializedParameter, "__deepcopy__", through(change))
