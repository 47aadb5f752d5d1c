"""How what test_assigning.py decides could be broken, and, where PyTorch deviates, how it would be mended."""

import warnings
from collections import OrderedDict

import torch
from torch import nn

from test_modules.state.changes import loading, module_loading, own_tensors, with_metadata
from torchclaims import breaks


@breaks("load-keeps-properties")
def buffers_are_replaced(patch):
    """Loading replaces buffers."""

    def change(original, self, state, prefix, *args):
        original(self, state, prefix, *args)
        for name, buffer in self._buffers.items():
            if prefix + name in state:
                self._buffers[name] = state[prefix + name].detach().to(buffer.dtype, copy=True)

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


@breaks("load-keeps-properties")
def requires_grad_is_loaded(patch):
    """Loading takes requires_grad over."""

    def change(original, self, state, prefix, *args):
        original(self, state, prefix, *args)
        for name, parameter in self._parameters.items():
            if parameter is not None and prefix + name in state:
                parameter.requires_grad_(state[prefix + name].requires_grad)

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


@breaks("load-keeps-properties")
def strides_are_loaded(patch):
    """Loading makes the tensors contiguous."""

    def change(original, self, state, prefix, *args):
        original(self, state, prefix, *args)
        for parameter in self._parameters.values():
            if parameter is not None:
                parameter.data = parameter.data.contiguous()

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


@breaks("load-keeps-properties", "load-caller-intact", "load-tied")
def copying_is_assigning(patch):
    """Loading takes the state's tensors where dtypes agree."""

    def change(original, self, state, prefix, *args):
        original(self, state, prefix, *args)
        for name, own in own_tensors(self).items():
            loaded = state.get(prefix + name)
            if torch.is_tensor(loaded) and loaded.shape == own.shape and own.is_floating_point():
                table = self._parameters if name in self._parameters else self._buffers
                table[name] = nn.Parameter(loaded) if table is self._parameters else loaded

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


@breaks("load-caller-intact")
def hooks_change_the_callers_dictionary(patch):
    """Load pre hooks work on the very dictionary that was given."""

    def change(original, self, state, **options):
        for hook in self._load_state_dict_pre_hooks.values():
            hook(state, "", {}, True, [], [], [])
        return original(self, state, **options)

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-assign-properties", "load-assign-unties", "load-meta-noop")
def assign_copies(patch):
    """assign=True copies."""

    def change(original, self, state, strict, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return original(self, state, strict=strict)

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-assign-properties")
def assign_converts(patch):
    """assign=True converts to the module's dtype."""

    def change(original, self, state, strict, assign=False):
        own = self.state_dict()
        new = OrderedDict((key, value.to(own[key].dtype) if assign else value) for key, value in state.items())
        return original(self, with_metadata(new, state), strict=strict, assign=assign)

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-assign-properties")
def assign_needs_metadata(patch):
    """assign=True copies where the state has no metadata."""

    def change(original, self, state, strict, assign=False):
        return original(self, state, strict=strict, assign=assign and hasattr(state, "_metadata"))

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-assign-requires-grad")
def assign_thaws(patch):
    """assign=True makes every Parameter require a gradient."""

    def change(original, self, state, strict, assign=False):
        result = original(self, state, strict=strict, assign=assign)
        if assign:
            self.requires_grad_()
        return result

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-assign-requires-grad")
def assign_freezes_buffers(patch):
    """assign=True detaches the state's buffers."""

    def change(original, self, state, strict, assign=False):
        result = original(self, state, strict=strict, assign=assign)
        for module in self.modules() if assign else ():
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = buffer.detach()
        return result

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-assign-kinds")
def assign_wraps_parameters_again(patch):
    """assign=True makes new Parameters of those in the state."""

    def change(original, self, state, strict, assign=False):
        new = OrderedDict((key, value.detach() if assign else value) for key, value in state.items())
        return original(self, with_metadata(new, state), strict=strict, assign=assign)

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-assign-kinds")
def assign_moves_to_the_end(patch):
    """assign=True takes the entries out before it sets them."""

    def change(original, self, state, prefix, metadata, *args):
        original(self, state, prefix, metadata, *args)
        for name in list(self._parameters) if metadata.get("assign_to_params_buffers") else ():
            if name == "w":
                self._parameters[name] = self._parameters.pop(name)

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


@breaks("load-assign-refuses")
def assign_takes_any_size(patch):
    """assign=True takes buffers of any size."""

    def change(original, self, state, prefix, metadata, strict, missing, unexpected, errors):
        original(self, state, prefix, metadata, strict, missing, unexpected, errors)
        if metadata.get("assign_to_params_buffers"):
            for name in self._buffers:
                if any(f"size mismatch for {prefix}{name}:" in error for error in errors):
                    errors.clear()
                    self._buffers[name] = state[prefix + name]

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


@breaks("load-assign-refuses")
def assign_is_lenient(patch):
    """assign=True turns strictness off."""

    def change(original, self, state, strict, assign=False):
        return original(self, state, strict=strict and not assign, assign=assign)

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-assign-once")
def mended_assign(patch):
    """Mended: load_state_dict works on a copy of the metadata."""

    def change(original, self, state, **options):
        if hasattr(state, "_metadata"):
            metadata = state._metadata
            state = OrderedDict(state)
            state._metadata = OrderedDict((path, dict(entry)) for path, entry in metadata.items())
        return original(self, state, **options)

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-tied")
def first_key_of_a_tie_wins(patch):
    """A Parameter with two names takes the value of its first key."""

    def change(original, self, state, **options):
        first = {}
        for name, parameter in self.named_parameters(remove_duplicate=False):
            first.setdefault(parameter, name)
        state = {name: state[first[parameter]] for name, parameter in self.named_parameters(remove_duplicate=False)}
        return original(self, state, **options)

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-assign-unties")
def assign_keeps_ties(patch):
    """assign=True sets a Parameter with two names once."""

    def change(original, self, state, strict, **options):
        first = {}
        pairs = [
            (name, first.setdefault(parameter, name))
            for name, parameter in self.named_parameters(remove_duplicate=False)
        ]
        result = original(self, state, strict=strict, **options)
        for name, kept in pairs:
            parent, _, leaf = name.rpartition(".")
            setattr(self.get_submodule(parent), leaf, self.get_parameter(kept))
        return result

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-meta-noop")
def meta_takes_the_tensors(patch):
    """Copying into a module on the meta device assigns, silently after the first warning."""

    def change(original, self, state, strict, assign=False):
        meta = any(parameter.is_meta for parameter in self.parameters())
        return original(self, state, strict=strict, assign=assign or meta)

    patch(nn.Module, "load_state_dict", loading(change))
