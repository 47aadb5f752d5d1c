"""How what test_loading.py decides could be broken, and, where PyTorch deviates, how it would be mended."""

import contextlib
import warnings
from collections import OrderedDict

import torch
from torch import nn

from torchclaims import breaks


def _loading(change):
    """A load_state_dict that goes through ``change(original, self, state, **options)``."""

    def make(original):
        def load_state_dict(self, state_dict, strict=True, **options):
            return change(original, self, state_dict, strict=strict, **options)

        return load_state_dict

    return make


def _module_loading(change):
    """The step that loads one module's own entries: ``change(original, self, state, prefix, metadata, ...)``."""

    def make(original):
        def _load_from_state_dict(self, state, prefix, metadata, strict, *lists):
            return change(original, self, state, prefix, metadata, strict, *lists)

        return _load_from_state_dict

    return make


def _with_metadata(new, state):
    if hasattr(state, "_metadata"):
        new._metadata = state._metadata
    return new


def _own(module):
    return {key: value for key, value in [*module._parameters.items(), *module._buffers.items()] if value is not None}


# --- extra state


@breaks("extra-state-loaded")
def extra_state_is_set_in_strict_loading_only(patch):
    """Extra state is not set where loading is not strict."""

    def change(original, self, state, strict, **options):
        kept = OrderedDict((key, value) for key, value in state.items() if strict or torch.is_tensor(value))
        result = original(self, _with_metadata(kept, state), strict=strict, **options)
        result.missing_keys.clear()
        return result

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("extra-state-loaded")
def extra_state_that_is_none_is_not_set(patch):
    """Extra state that is None is not handed to its module."""

    def change(original, self, state, prefix, metadata, strict, *lists):
        key = f"{prefix}_extra_state"
        original(
            self, {**state, key: "nothing"} if state.get(key, 0) is None else state, prefix, metadata, strict, *lists
        )

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


@breaks("extra-state-missing")
def extra_state_is_optional(patch):
    """Extra state that is missing is no missing key."""

    def change(original, self, state, prefix, metadata, strict, missing, *lists):
        original(self, state, prefix, metadata, strict, missing, *lists)
        missing[:] = [key for key in missing if not key.endswith("_extra_state")]

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


@breaks("extra-state-needs-setter")
def extra_state_without_setter_is_ignored(patch):
    """Extra state for a module without set_extra_state is ignored."""

    def change(original, self, state, prefix, metadata, strict, missing, unexpected, *lists):
        original(self, state, prefix, metadata, strict, missing, unexpected, *lists)
        unexpected[:] = [key for key in unexpected if not key.endswith("_extra_state")]

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


# --- what is returned and refused


@breaks("load-result")
def result_swaps_its_lists(patch):
    """The result holds unexpected keys first."""

    def change(original, self, state, **options):
        result = original(self, state, **options)
        return type(result)(result.unexpected_keys, result.missing_keys)

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-result")
def result_prints_missing_keys_only(patch):
    """The result prints success where no key is missing."""

    def broken(original):
        return lambda self: "<All keys matched successfully>" if not self.missing_keys else original(self)

    result = nn.Linear(1, 1).load_state_dict({}, strict=False)
    patch(type(result), "__repr__", broken)


@breaks("load-nonmapping")
def pairs_are_a_state(patch):
    """load_state_dict takes anything that dict() takes."""

    def change(original, self, state, **options):
        with contextlib.suppress(TypeError, ValueError):
            state = state if isinstance(state, OrderedDict) else dict(state)
        return original(self, state, **options)

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-nonmapping")
def dictionaries_only(patch):
    """load_state_dict loads nothing from a mapping that is no dict."""

    def change(original, self, state, **options):
        state = state if isinstance(state, dict) or not hasattr(state, "keys") else self.state_dict()
        return original(self, state, **options)

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-strict-default")
def lenient_by_default(patch):
    """Loading is strict only where strict=True is given."""

    def broken(original):
        def load_state_dict(self, state_dict, strict=False, **options):
            return original(self, state_dict, strict, **options)

        return load_state_dict

    patch(nn.Module, "load_state_dict", broken)


@breaks("load-strict-default")
def keys_of_unknown_children_pass(patch):
    """Strict loading passes over keys of children that the module does not have."""

    def change(original, self, state, prefix, metadata, strict, missing, unexpected, *lists):
        original(self, state, prefix, metadata, strict, missing, unexpected, *lists)
        unexpected[:] = [key for key in unexpected if not key.startswith("other.")]

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


@breaks("load-errors-together")
def sizes_are_told_without_keys(patch):
    """Where sizes do not match, the keys that are missing are not named."""

    def broken(original):
        def load_state_dict(self, *args, **kwargs):
            try:
                return original(self, *args, **kwargs)
            except RuntimeError as error:
                lines = str(error).splitlines()
                lines = [one for one in lines if "Missing" not in one] if "size mismatch" in str(error) else lines
                raise RuntimeError("\n".join(lines)) from None

        return load_state_dict

    patch(nn.Module, "load_state_dict", broken)


@breaks("load-errors-together")
def first_size_mismatch_ends_the_list(patch):
    """Of each module's entries one error is kept, and of the network's the first."""

    def change(original, self, state, prefix, metadata, strict, missing, unexpected, errors):
        before = len(errors)
        original(self, state, prefix, metadata, strict, missing, unexpected, errors)
        del errors[max(before, 1) :]

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


@breaks("load-none-entry-strict")
def entries_for_none_are_ignored(patch):
    """Strict loading ignores keys for what is None."""

    def change(original, self, state, prefix, metadata, strict, missing, unexpected, errors):
        original(self, state, prefix, metadata, strict, missing, unexpected, errors)
        empty = {prefix + key for key, value in [*self._parameters.items(), *self._buffers.items()] if value is None}
        unexpected[:] = [key for key in unexpected if key not in empty]

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


@breaks("load-none-entry")
def mended_entry_for_none(patch):
    """Mended: a key for what is None is an error of its own."""

    def change(original, self, state, prefix, metadata, strict, missing, unexpected, errors):
        original(self, state, prefix, metadata, strict, missing, unexpected, errors)
        for key, value in [*self._parameters.items(), *self._buffers.items()]:
            if value is None and prefix + key in state:
                errors.append(f"{prefix + key} is None in the module")

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


@breaks("load-strict-counter")
def mended_counter(patch):
    """Mended: batch normalisation fills no counter in."""

    def broken(original):
        def _load_from_state_dict(self, state, prefix, metadata, *args):
            original(self, state, prefix, {**metadata, "version": 2}, *args)

        return _load_from_state_dict

    patch(nn.modules.batchnorm._NormBase, "_load_from_state_dict", broken)


@breaks("load-strict-empty-child")
def mended_empty_child(patch):
    """Mended: keys below a child that is None are unexpected."""

    def change(original, self, state, prefix, metadata, strict, missing, unexpected, errors):
        original(self, state, prefix, metadata, strict, missing, unexpected, errors)
        empty = tuple(f"{prefix}{name}." for name, child in self._modules.items() if child is None)
        unexpected += [key for key in state if empty and key.startswith(empty)]

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


@breaks("load-strict-below-leaf")
def keys_below_buffers_pass(patch):
    """Strict loading passes over keys below the name of a buffer."""

    def change(original, self, state, prefix, metadata, strict, missing, unexpected, errors):
        original(self, state, prefix, metadata, strict, missing, unexpected, errors)
        below = tuple(f"{prefix}{name}." for name in self._buffers)
        unexpected[:] = [key for key in unexpected if not below or not key.startswith(below)]

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


@breaks("load-metadata-version")
def version_is_not_read(patch):
    """A missing counter is filled in whatever the version."""

    def broken(original):
        def _load_from_state_dict(self, state, prefix, metadata, *args):
            original(self, state, prefix, {**metadata, "version": 1}, *args)

        return _load_from_state_dict

    patch(nn.modules.batchnorm._NormBase, "_load_from_state_dict", broken)


@breaks("load-metadata-version")
def metadata_is_lost(patch):
    """Modules below the root are handed metadata of the newest version."""

    def change(original, self, state, **options):
        if hasattr(state, "_metadata"):
            state._metadata = OrderedDict((path, {**entry, "version": 2}) for path, entry in state._metadata.items())
        return original(self, state, **options)

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-not-a-tensor")
def numbers_are_loaded(patch):
    """Loading makes tensors of numbers and lists."""

    def change(original, self, state, **options):
        state = {key: torch.tensor([value]) if isinstance(value, list) else value for key, value in state.items()}
        return original(self, state, **options)

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-not-a-tensor")
def none_is_passed_over(patch):
    """Loading passes over entries that are None."""

    def change(original, self, state, **options):
        own = self.state_dict()
        return original(self, {key: own[key] if value is None else value for key, value in state.items()}, **options)

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-copy-fails")
def what_cannot_be_copied_is_passed_over(patch):
    """Tensors on the meta device are passed over."""

    def change(original, self, state, **options):
        own = self.state_dict()
        known = {key: own[key] if getattr(value, "is_meta", False) else value for key, value in state.items()}
        return original(self, _with_metadata(OrderedDict(known), state), **options)

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-one-element")
def one_element_makes_a_dimension(patch):
    """A Parameter without dimensions takes the dimension of what it loads."""

    def change(original, self, state, **options):
        result = original(self, state, **options)
        for key, value in _own(self).items():
            if key in state and value.dim() == 0:
                value.data = state[key].detach().clone()
        return result

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-no-element-of-many")
def first_element_is_loaded(patch):
    """Of several elements the first is loaded into a Parameter without dimensions."""

    def change(original, self, state, **options):
        own = self.state_dict()
        state = {
            key: value.flatten()[0] if key in own and not own[key].dim() and value.numel() else value
            for key, value in state.items()
        }
        return original(self, state, **options)

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-copies-before-error")
def loading_is_all_or_nothing(patch):
    """Where loading raises, everything is put back."""

    def change(original, self, state, **options):
        kept = {key: value.clone() for key, value in self.state_dict().items()}
        try:
            return original(self, state, **options)
        except RuntimeError:
            for key, value in self.state_dict().items():
                value.copy_(kept[key])
            raise

    patch(nn.Module, "load_state_dict", _loading(change))


# --- what becomes of the tensors


@breaks("load-keeps-properties")
def buffers_are_replaced(patch):
    """Loading replaces buffers."""

    def change(original, self, state, prefix, *args):
        original(self, state, prefix, *args)
        for name, buffer in self._buffers.items():
            if prefix + name in state:
                self._buffers[name] = state[prefix + name].detach().to(buffer.dtype, copy=True)

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


@breaks("load-keeps-properties")
def requires_grad_is_loaded(patch):
    """Loading takes requires_grad over."""

    def change(original, self, state, prefix, *args):
        original(self, state, prefix, *args)
        for name, parameter in self._parameters.items():
            if parameter is not None and prefix + name in state:
                parameter.requires_grad_(state[prefix + name].requires_grad)

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


@breaks("load-keeps-properties")
def strides_are_loaded(patch):
    """Loading makes the tensors contiguous."""

    def change(original, self, state, prefix, *args):
        original(self, state, prefix, *args)
        for parameter in self._parameters.values():
            if parameter is not None:
                parameter.data = parameter.data.contiguous()

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


@breaks("load-keeps-properties", "load-caller-intact", "load-tied")
def copying_is_assigning(patch):
    """Loading takes the state's tensors where dtypes agree."""

    def change(original, self, state, prefix, *args):
        original(self, state, prefix, *args)
        for name, own in _own(self).items():
            loaded = state.get(prefix + name)
            if torch.is_tensor(loaded) and loaded.shape == own.shape and own.is_floating_point():
                table = self._parameters if name in self._parameters else self._buffers
                table[name] = nn.Parameter(loaded) if table is self._parameters else loaded

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


@breaks("load-caller-intact")
def hooks_change_the_callers_dictionary(patch):
    """Load pre hooks work on the very dictionary that was given."""

    def change(original, self, state, **options):
        for hook in self._load_state_dict_pre_hooks.values():
            hook(state, "", {}, True, [], [], [])
        return original(self, state, **options)

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-assign-properties", "load-assign-unties", "load-meta-noop")
def assign_copies(patch):
    """assign=True copies."""

    def change(original, self, state, strict, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return original(self, state, strict=strict)

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-assign-properties")
def assign_converts(patch):
    """assign=True converts to the module's dtype."""

    def change(original, self, state, strict, assign=False):
        own = self.state_dict()
        new = OrderedDict((key, value.to(own[key].dtype) if assign else value) for key, value in state.items())
        return original(self, _with_metadata(new, state), strict=strict, assign=assign)

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-assign-properties")
def assign_needs_metadata(patch):
    """assign=True copies where the state has no metadata."""

    def change(original, self, state, strict, assign=False):
        return original(self, state, strict=strict, assign=assign and hasattr(state, "_metadata"))

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-assign-requires-grad")
def assign_thaws(patch):
    """assign=True makes every Parameter require a gradient."""

    def change(original, self, state, strict, assign=False):
        result = original(self, state, strict=strict, assign=assign)
        if assign:
            self.requires_grad_()
        return result

    patch(nn.Module, "load_state_dict", _loading(change))


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

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-assign-kinds")
def assign_wraps_parameters_again(patch):
    """assign=True makes new Parameters of those in the state."""

    def change(original, self, state, strict, assign=False):
        new = OrderedDict((key, value.detach() if assign else value) for key, value in state.items())
        return original(self, _with_metadata(new, state), strict=strict, assign=assign)

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-assign-kinds")
def assign_moves_to_the_end(patch):
    """assign=True takes the entries out before it sets them."""

    def change(original, self, state, prefix, metadata, *args):
        original(self, state, prefix, metadata, *args)
        for name in list(self._parameters) if metadata.get("assign_to_params_buffers") else ():
            if name == "w":
                self._parameters[name] = self._parameters.pop(name)

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


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

    patch(nn.Module, "_load_from_state_dict", _module_loading(change))


@breaks("load-assign-refuses")
def assign_is_lenient(patch):
    """assign=True turns strictness off."""

    def change(original, self, state, strict, assign=False):
        return original(self, state, strict=strict and not assign, assign=assign)

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-assign-once")
def mended_assign(patch):
    """Mended: load_state_dict works on a copy of the metadata."""

    def change(original, self, state, **options):
        if hasattr(state, "_metadata"):
            metadata = state._metadata
            state = OrderedDict(state)
            state._metadata = OrderedDict((path, dict(entry)) for path, entry in metadata.items())
        return original(self, state, **options)

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-tied")
def first_key_of_a_tie_wins(patch):
    """A Parameter with two names takes the value of its first key."""

    def change(original, self, state, **options):
        first = {}
        for name, parameter in self.named_parameters(remove_duplicate=False):
            first.setdefault(parameter, name)
        state = {name: state[first[parameter]] for name, parameter in self.named_parameters(remove_duplicate=False)}
        return original(self, state, **options)

    patch(nn.Module, "load_state_dict", _loading(change))


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

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-meta-noop")
def meta_takes_the_tensors(patch):
    """Copying into a module on the meta device assigns, silently after the first warning."""

    def change(original, self, state, strict, assign=False):
        meta = any(parameter.is_meta for parameter in self.parameters())
        return original(self, state, strict=strict, assign=assign or meta)

    patch(nn.Module, "load_state_dict", _loading(change))


# --- hooks


def _hooking(name, wrap):
    def apply(patch):
        patch(nn.Module, name, lambda original: lambda self, hook: original(self, wrap(hook)))

    return apply


@breaks("load-pre-hook")
def pre_hooks_get_the_whole_metadata(patch):
    """A load pre hook gets metadata of version 1 in any case."""

    def wrap(hook):
        return lambda module, state, prefix, metadata, *args: hook(module, state, prefix, {"version": 1}, *args)

    _hooking("register_load_state_dict_pre_hook", wrap)(patch)


@breaks("load-pre-hook")
def pre_hooks_get_a_copy(patch):
    """A load pre hook gets a copy of the state, which is lost."""

    def wrap(hook):
        return lambda module, state, *args: hook(module, dict(state), *args)

    _hooking("register_load_state_dict_pre_hook", wrap)(patch)


@breaks("load-pre-hook-lists")
def pre_hooks_unexpected_keys_are_lost(patch):
    """What a load pre hook adds to unexpected_keys is lost."""

    def wrap(hook):
        def quiet(module, state, prefix, metadata, strict, missing, unexpected, errors):
            hook(module, state, prefix, metadata, strict, missing, list(unexpected), errors)

        return quiet

    _hooking("register_load_state_dict_pre_hook", wrap)(patch)


@breaks("load-pre-hook-lists")
def pre_hooks_errors_are_lost(patch):
    """What a load pre hook adds to error_msgs is lost."""

    def wrap(hook):
        return lambda module, *args: hook(module, *args[:-1], [])

    _hooking("register_load_state_dict_pre_hook", wrap)(patch)


@breaks("load-post-hook", "load-post-hook-decides")
def post_hooks_get_copies(patch):
    """A load post hook gets copies of the lists, without unexpected keys."""

    def wrap(hook):
        return lambda module, keys: hook(module, type(keys)(list(keys.missing_keys), []))

    _hooking("register_load_state_dict_post_hook", wrap)(patch)


@breaks("load-post-hook")
def post_hooks_run_at_the_root(patch):
    """Load post hooks are handed the root."""

    def change(original, self, state, **options):
        hooks = {module: dict(module._load_state_dict_post_hooks) for module in self.modules() if module is not self}
        for module in hooks:
            module._load_state_dict_post_hooks.clear()
        result = original(self, state, **options)
        for module, kept in hooks.items():
            for hook in kept.values():
                hook(module, result)
            module._load_state_dict_post_hooks.update(kept)
        return result

    patch(nn.Module, "load_state_dict", _loading(change))


@breaks("load-post-hook-decides")
def post_hooks_cannot_add(patch):
    """Keys that a load post hook adds to unexpected_keys are taken out again."""

    def wrap(hook):
        def undone(module, keys):
            before = len(keys.unexpected_keys)
            hook(module, keys)
            del keys.unexpected_keys[before:]

        return undone

    _hooking("register_load_state_dict_post_hook", wrap)(patch)
