"""How what test_saving.py decides could be broken."""

from collections import OrderedDict

import torch
from torch import nn

from torchclaims import breaks


def _after(change):
    """A state_dict that passes what it made of the outermost module through ``change(self, state, prefix)``."""

    def make(original):
        def state_dict(self, *args, **kwargs):
            state = original(self, *args, **kwargs)
            return change(self, state, kwargs.get("prefix", "")) if kwargs.get("destination") is None else state

        return state_dict

    return make


def _saving(change):
    """A step that saves one module's own entries: ``change(original, self, destination, prefix, keep_vars)``."""

    def make(original):
        def _save_to_state_dict(self, destination, prefix, keep_vars):
            return change(original, self, destination, prefix, keep_vars)

        return _save_to_state_dict

    return make


@breaks("state-keys", "state-none-excluded")
def frozen_parameters_are_left_out(patch):
    """state_dict leaves out Parameters that do not require a gradient."""

    def change(original, self, destination, prefix, keep_vars):
        original(self, destination, prefix, keep_vars)
        for name, parameter in self._parameters.items():
            if parameter is not None and not parameter.requires_grad:
                del destination[prefix + name]

    patch(nn.Module, "_save_to_state_dict", _saving(change))


@breaks("state-keys")
def fleeting_buffers_are_saved_below_the_root(patch):
    """state_dict takes every buffer of the module that it is called on."""

    def change(self, state, prefix):
        for name in self._non_persistent_buffers_set:
            state[prefix + name] = self._buffers[name].detach()
        return state

    patch(nn.Module, "state_dict", _after(change))


@breaks("state-none-excluded")
def none_is_saved_with_keep_vars(patch):
    """With keep_vars=True state_dict has entries that are None."""

    def change(original, self, destination, prefix, keep_vars):
        original(self, destination, prefix, keep_vars)
        if keep_vars:
            destination.update({prefix + name: None for name, value in self._buffers.items() if value is None})

    patch(nn.Module, "_save_to_state_dict", _saving(change))


@breaks("state-buffers-detached")
def buffers_keep_their_history(patch):
    """state_dict detaches Parameters only."""

    def change(original, self, destination, prefix, keep_vars):
        original(self, destination, prefix, keep_vars)
        for name, buffer in self._buffers.items():
            if prefix + name in destination:
                destination[prefix + name] = buffer

    patch(nn.Module, "_save_to_state_dict", _saving(change))


@breaks("state-buffers-detached")
def buffers_are_always_detached(patch):
    """state_dict detaches buffers with keep_vars=True too."""

    def change(original, self, destination, prefix, keep_vars):
        original(self, destination, prefix, keep_vars)
        for name in self._buffers:
            if prefix + name in destination:
                destination[prefix + name] = destination[prefix + name].detach()

    patch(nn.Module, "_save_to_state_dict", _saving(change))


@breaks("state-shallow-copy")
def buffers_are_copied(patch):
    """state_dict copies buffers."""

    def change(self, state, prefix):
        for name, _ in self.named_buffers(recurse=False):
            if prefix + name in state:
                state[prefix + name] = state[prefix + name].clone()
        return state

    patch(nn.Module, "state_dict", _after(change))


@breaks("state-shallow-copy")
def state_is_kept(patch):
    """A second state_dict of a module is the first one, updated."""
    kept = {}

    def change(self, state, prefix):
        kept.setdefault(id(self), state).update(state)
        return kept[id(self)]

    patch(nn.Module, "state_dict", _after(change))


@breaks("state-prefix")
def prefix_gets_a_dot(patch):
    """state_dict puts a dot after a prefix that has none."""

    def change(self, state, prefix):
        if prefix and not prefix.endswith("."):
            return OrderedDict((f"{prefix}.{key[len(prefix) :]}", value) for key, value in state.items())
        return state

    patch(nn.Module, "state_dict", _after(change))


@breaks("state-prefix")
def prefix_is_lost_below(patch):
    """state_dict puts the prefix before the module's own keys only."""

    def change(self, state, prefix):
        names = {key: key[len(prefix) :] if "." in key[len(prefix) :] else key for key in state}
        return OrderedDict((names[key], value) for key, value in state.items())

    patch(nn.Module, "state_dict", _after(change))


@breaks("state-destination")
def destination_is_copied(patch):
    """state_dict returns an OrderedDict of destination's entries and its own."""

    def broken(original):
        def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
            if destination is not None and not prefix:
                destination = OrderedDict(destination)
            return original(self, *args, destination=destination, prefix=prefix, keep_vars=keep_vars)

        return state_dict

    patch(nn.Module, "state_dict", broken)


@breaks("state-destination")
def destination_is_emptied(patch):
    """state_dict clears destination first."""

    def broken(original):
        def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
            if destination is not None and not prefix:
                destination.clear()
            return original(self, *args, destination=destination, prefix=prefix, keep_vars=keep_vars)

        return state_dict

    patch(nn.Module, "state_dict", broken)


@breaks("state-positional")
def third_position_is_ignored(patch):
    """keep_vars is taken by keyword only."""
    patch(nn.Module, "state_dict", lambda original: lambda self, *args, **kwargs: original(self, *args[:2], **kwargs))


@breaks("state-metadata")
def all_versions_are_one(patch):
    """The metadata holds version 1 for every module."""

    def change(self, state, prefix):
        for entry in state._metadata.values():
            entry["version"] = 1
        return state

    patch(nn.Module, "state_dict", _after(change))


@breaks("state-metadata")
def metadata_lacks_the_prefix(patch):
    """The metadata names the modules without the prefix."""

    def change(self, state, prefix):
        state._metadata = OrderedDict((path[len(prefix) :], entry) for path, entry in state._metadata.items())
        return state

    patch(nn.Module, "state_dict", _after(change))


@breaks("state-saved-restored")
def counters_are_not_restored(patch):
    """Loading passes over integer tensors."""

    def broken(original):
        def load_state_dict(self, state, *args, **kwargs):
            own = self.state_dict()
            state = {key: value if value.is_floating_point() else own[key] for key, value in state.items()}
            return original(self, state, *args, **kwargs)

        return load_state_dict

    patch(nn.Module, "load_state_dict", broken)


def _hooking(name, wrap):
    """Replaces the hook that ``name`` registers by ``wrap(self, hook)``."""

    def apply(patch):
        patch(nn.Module, name, lambda original: lambda self, hook: original(self, wrap(self, hook)))

    return apply


@breaks("state-pre-hook")
def pre_hooks_see_no_keep_vars(patch):
    """A state_dict pre hook always gets keep_vars=False."""

    def wrap(self, hook):
        return lambda module, prefix, keep_vars: hook(module, prefix, False)

    _hooking("register_state_dict_pre_hook", wrap)(patch)


@breaks("state-pre-hook")
def pre_hooks_run_afterwards(patch):
    """State_dict pre hooks run once the module's entries are made."""

    def change(original, self, destination, prefix, keep_vars):
        kept = dict(self._buffers)
        for name, value in kept.items():
            if prefix + name not in destination and name == "seen" and value is not None and value.eq(8).all():
                self._buffers[name] = torch.zeros_like(value)
        original(self, destination, prefix, keep_vars)
        self._buffers.update(kept)

    patch(nn.Module, "_save_to_state_dict", _saving(change))


@breaks("state-post-hook")
def post_hooks_get_a_copy(patch):
    """A state_dict post hook gets a copy of the dictionary."""

    def wrap(self, hook):
        return lambda module, state, *args: hook(module, OrderedDict(state), *args)

    _hooking("register_state_dict_post_hook", wrap)(patch)


@breaks("state-post-hook")
def post_hooks_get_the_roots_prefix(patch):
    """A state_dict post hook gets an empty prefix."""

    def wrap(self, hook):
        return lambda module, state, prefix, metadata: hook(module, state, "", metadata)

    _hooking("register_state_dict_post_hook", wrap)(patch)


@breaks("state-post-hook-returns-none")
def post_hooks_of_children_may_return(patch):
    """Only the root's post hooks are held to return None."""

    def wrap(self, hook):
        def quiet(module, state, prefix, metadata):
            result = hook(module, state, prefix, metadata)
            return None if prefix else result

        return quiet

    _hooking("register_state_dict_post_hook", wrap)(patch)


def _removing(change):
    def make(original):
        def remove(self):
            return change(original, self)

        return remove

    return make


@breaks("state-hooks-removed", "load-hooks-removed")
def handles_remove_the_latest(patch):
    """handle.remove() takes away the hook that was registered last."""

    def change(original, self):
        hooks = self.hooks_dict_ref()
        hooks.pop(next(reversed(hooks), None), None)

    patch(torch.utils.hooks.RemovableHandle, "remove", _removing(change))


@breaks("state-hooks-removed", "load-hooks-removed")
def handles_remove_all(patch):
    """handle.remove() takes away all hooks of that kind."""
    patch(
        torch.utils.hooks.RemovableHandle,
        "remove",
        _removing(lambda original, self: self.hooks_dict_ref().clear()),
    )


@breaks("extra-state-saved")
def extra_state_that_is_none_is_left_out(patch):
    """state_dict leaves out extra state that is None."""

    def change(self, state, prefix):
        for key in [key for key, value in state.items() if value is None]:
            del state[key]
        return state

    patch(nn.Module, "state_dict", _after(change))


@breaks("extra-state-saved")
def extra_state_comes_last(patch):
    """state_dict puts extra state behind all other entries."""

    def change(self, state, prefix):
        for key in [key for key, value in state.items() if not torch.is_tensor(value)]:
            state[key] = state.pop(key)
        return state

    patch(nn.Module, "state_dict", _after(change))
