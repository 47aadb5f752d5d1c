"""How what test_casts.py decides could be broken."""

import warnings

import torch
from torch import nn

from torchclaims import breaks


@breaks("cast-float-only")
def complex_is_cast_too(patch):
    """double() makes complex128 of complex64."""

    def make(original):
        def double(self):
            original(self)
            return self._apply(lambda x: x.to(torch.complex128) if x.is_complex() else x)

        return double

    patch(nn.Module, "double", make)


@breaks("cast-float-only")
def half_casts_integers(patch):
    """half() casts integer buffers too."""
    patch(nn.Module, "half", lambda original: lambda self: self._apply(lambda x: x if x.is_complex() else x.half()))


@breaks("cast-float-only")
def bfloat16_is_float16(patch):
    """bfloat16() casts to float16."""
    patch(nn.Module, "bfloat16", lambda original: lambda self: self.half())


@breaks("cast-float-only")
def float_leaves_double(patch):
    """float() leaves float64 as it is."""
    patch(
        nn.Module,
        "float",
        lambda original: (
            lambda self: self._apply(
                lambda x: x if x.dtype == torch.float64 or not x.is_floating_point() else x.float()
            )
        ),
    )


def _to(patch, change):
    patch(nn.Module, "to", lambda original: lambda self, *args, **kw: change(original, self, args, kw))


@breaks("cast-to-dtype", "cast-identity")
def to_makes_a_copy(patch):
    """to() returns another module."""
    import copy

    _to(patch, lambda original, module, args, kwargs: original(copy.deepcopy(module), *args, **kwargs))


@breaks("cast-to-dtype")
def to_leaves_complex(patch):
    """to(dtype) passes over complex parameters and buffers."""

    def change(original, module, args, kwargs):
        kept = {one: dict(one._buffers) for one in module.modules()}
        original(module, *args, **kwargs)
        for one, buffers in kept.items():
            one._buffers.update({name: b for name, b in buffers.items() if b is not None and b.is_complex()})
        return module

    _to(patch, change)


@breaks("cast-to-dtype")
def to_casts_integers(patch):
    """to(dtype) casts integer buffers too."""

    def change(original, module, args, kwargs):
        original(module, *args, **kwargs)
        wanted = torch._C._nn._parse_to(*args, **kwargs)[1]
        return module if wanted is None else module._apply(lambda x: x.to(wanted) if x.dtype == torch.int64 else x)

    _to(patch, change)


@breaks("cast-to-int")
def integers_are_ignored(patch):
    """to() ignores a dtype that it does not take."""

    def change(original, module, args, kwargs):
        try:
            return original(module, *args, **kwargs)
        except TypeError:
            return module

    _to(patch, change)


@breaks("cast-to-int")
def booleans_are_taken(patch):
    """to(torch.bool) casts floating buffers before it is refused."""

    def change(original, module, args, kwargs):
        if torch._C._nn._parse_to(*args, **kwargs)[1] is torch.bool:
            for one in module.modules():
                for name, buffer in one._buffers.items():
                    one._buffers[name] = None if buffer is None else buffer.bool()
        return original(module, *args, **kwargs)

    _to(patch, change)


def _replacing(original):
    def _apply(self, fn, recurse=True):
        original(self, fn, recurse) if recurse is not True else original(self, fn)
        for name, parameter in self._parameters.items():
            if parameter is not None:
                self._parameters[name] = nn.Parameter(parameter.data, parameter.requires_grad)
                self._parameters[name].grad = parameter.grad
        return self

    return _apply


@breaks("cast-identity", "cast-tied", "cast-no-change")
def casts_make_new_parameters(patch):
    """A cast puts new Parameters into the place of the old ones."""
    patch(nn.Module, "_apply", _replacing)


def _applying(patch, change):
    """``change(original, module, fn)`` replaces what casts and moves do to one module and its children."""

    def make(original):
        def _apply(self, fn, **kwargs):
            return change(lambda module, fn: original(module, fn, **kwargs), self, fn)

        return _apply

    patch(nn.Module, "_apply", make)


@breaks("cast-identity")
def gradients_are_dropped(patch):
    """A cast drops the gradients."""

    def change(original, module, fn):
        original(module, fn)
        module.zero_grad()
        return module

    _applying(patch, change)


@breaks("cast-identity")
def gradients_of_gradients_are_cut(patch):
    """A cast leaves gradients that require none."""

    def change(original, module, fn):
        original(module, fn)
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.grad = parameter.grad.detach()
        return module

    _applying(patch, change)


@breaks("cast-identity")
def casts_unfreeze(patch):
    """A cast makes all parameters require gradients."""

    def change(original, module, fn):
        original(module, fn)
        for parameter in module.parameters(recurse=False):
            if parameter.is_floating_point():
                parameter.requires_grad_()
        return module

    _applying(patch, change)


@breaks("cast-no-change")
def casts_always_copy(patch):
    """A cast copies a buffer that needs none."""

    def change(original, module, fn):
        original(module, fn)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.clone()
        return module

    _applying(patch, change)


@breaks("cast-values")
def casts_truncate(patch):
    """A cast to half rounds towards zero."""

    def change(original, module, fn):
        def truncating(x):
            y = fn(x)
            if y.dtype != torch.float16 or x.dtype != torch.float32:
                return y
            too_far = y.float().abs() > x.abs()
            return torch.where(too_far & y.isfinite(), (y.view(torch.int16) - 1).view(torch.float16), y)

        return original(module, truncating)

    _applying(patch, change)


@breaks("cast-values")
def casts_saturate(patch):
    """What overflows becomes the largest finite value."""

    def change(original, module, fn):
        def saturating(x):
            y = fn(x)
            return y.clamp(-65504, 65504) if y.dtype == torch.float16 and x.dtype == torch.float32 else y

        return original(module, saturating)

    _applying(patch, change)


@breaks("cast-values")
def casts_lose_the_sign_of_zero(patch):
    """A cast to half makes 0 of -0."""
    _applying(
        patch,
        lambda original, module, fn: original(module, lambda x: fn(x) + 0 if x.dtype == torch.float32 else fn(x)),
    )


@breaks("cast-type-all")
def type_passes_over_integers(patch):
    """type() passes over integer buffers."""

    def make(original):
        return lambda self, kind: self._apply(lambda x: x.type(kind) if x.is_floating_point() or x.is_complex() else x)

    patch(nn.Module, "type", make)


@breaks("cast-type-all")
def names_of_types_are_ignored(patch):
    """type() ignores the name of a tensor type."""
    patch(
        nn.Module, "type", lambda original: lambda self, kind: self if isinstance(kind, str) else original(self, kind)
    )


@breaks("cast-type-needs-float")
def type_freezes(patch):
    """type() to integers freezes the parameters."""
    patch(
        nn.Module,
        "type",
        lambda original: (
            lambda self, kind: original(
                self.requires_grad_(False) if isinstance(kind, torch.dtype) and not kind.is_floating_point else self,
                kind,
            )
        ),
    )


@breaks("cast-type-needs-float")
def type_to_bool_is_ignored(patch):
    """type(torch.bool) does nothing."""
    patch(
        nn.Module,
        "type",
        lambda original: lambda self, kind: self if kind is torch.bool else original(self, kind),
    )


@breaks("cast-memory-format")
def memory_formats_are_ignored_for_buffers(patch):
    """to(memory_format) leaves buffers as they are."""

    def change(original, module, args, kwargs):
        kept = {one: dict(one._buffers) for one in module.modules()}
        original(module, *args, **kwargs)
        if "memory_format" in kwargs:
            for one, buffers in kept.items():
                one._buffers.update(buffers)
        return module

    _to(patch, change)


@breaks("cast-memory-format")
def layouts_are_relabelled(patch):
    """to(memory_format) changes the strides and not the memory."""

    def change(original, module, args, kwargs):
        before = {parameter: parameter.data for parameter in module.parameters()}
        original(module, *args, **kwargs)
        for parameter, data in before.items():
            if "memory_format" in kwargs and parameter.dim() == 4 and parameter.dtype == data.dtype:
                parameter.data = data.as_strided(parameter.shape, parameter.stride())
        return module

    _to(patch, change)


@breaks("cast-memory-format")
def a_dtype_beats_the_memory_format(patch):
    """to(dtype, memory_format) only casts."""

    def change(original, module, args, kwargs):
        if "dtype" in kwargs:
            kwargs = {name: value for name, value in kwargs.items() if name != "memory_format"}
        return original(module, *args, **kwargs)

    _to(patch, change)


@breaks("cast-memory-format-5d")
def five_dimensions_stay(patch):
    """to(memory_format) leaves parameters of five dimensions as they are."""

    def change(original, module, args, kwargs):
        if kwargs.get("memory_format") is not torch.channels_last:
            return original(module, *args, **kwargs)
        for parameter in module.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return module

    _to(patch, change)


@breaks("cast-to-empty")
def to_empty_always_recurses(patch):
    """to_empty() ignores recurse=False."""
    patch(nn.Module, "to_empty", lambda original: lambda self, *, device, recurse=True: original(self, device=device))


@breaks("cast-to-empty")
def to_empty_keeps_storage(patch):
    """to_empty() leaves what is on the device already."""

    def make(original):
        def to_empty(self, *, device, recurse=True):
            if all(str(one.device) == str(torch.device(device)) for one in self.parameters()):
                return self
            return original(self, device=device, recurse=recurse)

        return to_empty

    patch(nn.Module, "to_empty", make)


@breaks("cast-meta")
def meta_is_moved_to_zeros(patch):
    """to() moves a module off the meta device as zeros."""

    def change(original, module, args, kwargs):
        try:
            return original(module, *args, **kwargs)
        except NotImplementedError:
            return module.to_empty(device=args[0])

    _to(patch, change)


@breaks("cast-to-complex")
def complex_is_silent(patch):
    """to(complex) does not warn."""

    def change(original, module, args, kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return original(module, *args, **kwargs)

    _to(patch, change)


@breaks("cast-to-complex")
def complex_warns_always(patch):
    """to() warns of complex modules whatever the dtype."""

    def change(original, module, args, kwargs):
        warnings.warn("Complex modules are a new feature", stacklevel=2)
        return original(module, *args, **kwargs)

    _to(patch, change)


@breaks("cast-to-complex")
def complex_layers_drop_the_imaginary_part(patch):
    """Linear drops the imaginary part of its input."""
    patch(
        nn.Linear,
        "forward",
        lambda original: lambda self, x: original(self, torch.complex(x.real, x.real * 0) if x.is_complex() else x),
    )


@breaks("cast-factory-kwargs")
def counters_take_the_dtype(patch):
    """num_batches_tracked takes the dtype of the layer."""

    def make(original):
        def __init__(self, *args, dtype=None, **kwargs):
            original(self, *args, dtype=dtype, **kwargs)
            if self.num_batches_tracked is not None and dtype is not None:
                self._buffers["num_batches_tracked"] = self.num_batches_tracked.to(dtype)

        return __init__

    patch(nn.modules.batchnorm._NormBase, "__init__", make)


@breaks("cast-factory-kwargs")
def transformers_forget_their_dtype(patch):
    """TransformerDecoderLayer makes its second normalisation in the default dtype."""

    def make(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.norm2 = nn.LayerNorm(self.norm2.normalized_shape, device=kwargs.get("device"), dtype=torch.float64)

        return __init__

    patch(nn.TransformerDecoderLayer, "__init__", make)


@breaks("cast-factory-default")
def layers_are_always_float32(patch):
    """BatchNorm is float32 whatever the default dtype."""

    def make(original):
        def __init__(self, *args, dtype=None, **kwargs):
            original(self, *args, dtype=dtype or torch.float32, **kwargs)

        return __init__

    patch(nn.modules.batchnorm._NormBase, "__init__", make)


@breaks("cast-tied")
def shared_modules_are_cast_apart(patch):
    """A cast gives each place of a shared Parameter its own."""

    def change(original, module, fn):
        original(module, fn)
        if not module._modules:
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    module._parameters[name] = nn.Parameter(parameter.data, parameter.requires_grad)
                    module._parameters[name].grad = parameter.grad
        return module

    _applying(patch, change)


@breaks("cast-swap")
def nothing_is_swapped(patch):
    """Conversions never swap."""
    patch(torch.__future__, "get_swap_module_params_on_conversion", lambda original: lambda: False)


@breaks("cast-swap")
def gradients_are_lost_when_swapped(patch):
    """A Parameter that is swapped loses its gradient."""

    def make(original):
        def apply(self, *args, **kwargs):
            original(self, *args, **kwargs)
            if torch.__future__.get_swap_module_params_on_conversion():
                self.zero_grad()
            return self

        return apply

    patch(nn.Module, "_apply", make)
