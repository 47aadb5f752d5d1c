"""How what test_loading.py decides could be broken, and, where PyTorch deviates, how it would be mended."""

import contextlib
from collections import OrderedDict

import torch
from torch import nn

from test_modules.state.changes import loading, module_loading, own_tensors, with_metadata
from torchclaims import breaks


@breaks("extra-state-loaded")
def extra_state_is_set_in_strict_loading_only(patch):
    """Extra state is not set where loading is not strict."""

    def change(original, self, state, strict, **options):
        kept = OrderedDict((key, value) for key, value in state.items() if strict or torch.is_tensor(value))
        result = original(self, with_metadata(kept, state), strict=strict, **options)
        result.missing_keys.clear()
        return result

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("extra-state-loaded")
def extra_state_that_is_none_is_not_set(patch):
    """Extra state that is None is not handed to its module."""

    def change(original, self, state, prefix, metadata, strict, *lists):
        key = f"{prefix}_extra_state"
        original(
            self, {**state, key: "nothing"} if state.get(key, 0) is None else state, prefix, metadata, strict, *lists
        )

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


@breaks("extra-state-missing")
def extra_state_is_optional(patch):
    """Extra state that is missing is no missing key."""

    def change(original, self, state, prefix, metadata, strict, missing, *lists):
        original(self, state, prefix, metadata, strict, missing, *lists)
        missing[:] = [key for key in missing if not key.endswith("_extra_state")]

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


@breaks("extra-state-needs-setter")
def extra_state_without_setter_is_ignored(patch):
    """Extra state for a module without set_extra_state is ignored."""

    def change(original, self, state, prefix, metadata, strict, missing, unexpected, *lists):
        original(self, state, prefix, metadata, strict, missing, unexpected, *lists)
        unexpected[:] = [key for key in unexpected if not key.endswith("_extra_state")]

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


# --- what is returned and refused


@breaks("load-result")
def result_swaps_its_lists(patch):
    """The result holds unexpected keys first."""

    def change(original, self, state, **options):
        result = original(self, state, **options)
        return type(result)(result.unexpected_keys, result.missing_keys)

    patch(nn.Module, "load_state_dict", loading(change))


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

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-nonmapping")
def dictionaries_only(patch):
    """load_state_dict loads nothing from a mapping that is no dict."""

    def change(original, self, state, **options):
        state = state if isinstance(state, dict) or not hasattr(state, "keys") else self.state_dict()
        return original(self, state, **options)

    patch(nn.Module, "load_state_dict", loading(change))


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

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


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

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


@breaks("load-none-entry-strict")
def entries_for_none_are_ignored(patch):
    """Strict loading ignores keys for what is None."""

    def change(original, self, state, prefix, metadata, strict, missing, unexpected, errors):
        original(self, state, prefix, metadata, strict, missing, unexpected, errors)
        empty = {prefix + key for key, value in [*self._parameters.items(), *self._buffers.items()] if value is None}
        unexpected[:] = [key for key in unexpected if key not in empty]

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


@breaks("load-none-entry")
def mended_entry_for_none(patch):
    """Mended: a key for what is None is an error of its own."""

    def change(original, self, state, prefix, metadata, strict, missing, unexpected, errors):
        original(self, state, prefix, metadata, strict, missing, unexpected, errors)
        for key, value in [*self._parameters.items(), *self._buffers.items()]:
            if value is None and prefix + key in state:
                errors.append(f"{prefix + key} is None in the module")

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


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

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


@breaks("load-strict-below-leaf")
def keys_below_buffers_pass(patch):
    """Strict loading passes over keys below the name of a buffer."""

    def change(original, self, state, prefix, metadata, strict, missing, unexpected, errors):
        original(self, state, prefix, metadata, strict, missing, unexpected, errors)
        below = tuple(f"{prefix}{name}." for name in self._buffers)
        unexpected[:] = [key for key in unexpected if not below or not key.startswith(below)]

    patch(nn.Module, "_load_from_state_dict", module_loading(change))


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

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-not-a-tensor")
def numbers_are_loaded(patch):
    """Loading makes tensors of numbers and lists."""

    def change(original, self, state, **options):
        state = {key: torch.tensor([value]) if isinstance(value, list) else value for key, value in state.items()}
        return original(self, state, **options)

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-not-a-tensor")
def none_is_passed_over(patch):
    """Loading passes over entries that are None."""

    def change(original, self, state, **options):
        own = self.state_dict()
        return original(self, {key: own[key] if value is None else value for key, value in state.items()}, **options)

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-copy-fails")
def what_cannot_be_copied_is_passed_over(patch):
    """Tensors on the meta device are passed over."""

    def change(original, self, state, **options):
        own = self.state_dict()
        known = {key: own[key] if getattr(value, "is_meta", False) else value for key, value in state.items()}
        return original(self, with_metadata(OrderedDict(known), state), **options)

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-one-element")
def one_element_makes_a_dimension(patch):
    """A Parameter without dimensions takes the dimension of what it loads."""

    def change(original, self, state, **options):
        result = original(self, state, **options)
        for key, value in own_tensors(self).items():
            if key in state and value.dim() == 0:
                value.data = state[key].detach().clone()
        return result

    patch(nn.Module, "load_state_dict", loading(change))


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

    patch(nn.Module, "load_state_dict", loading(change))


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

    patch(nn.Module, "load_state_dict", loading(change))
