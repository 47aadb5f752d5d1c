"""How what loads a state is changed."""

from torch import nn


def loading(change):
    """A load_state_dict that goes through ``change(original, self, state, **options)``."""

    def make(original):
        def load_state_dict(self, state_dict, strict=True, **options):
            return change(original, self, state_dict, strict=strict, **options)

        return load_state_dict

    return make


def module_loading(change):
    """The step that loads one module's own entries: ``change(original, self, state, prefix, metadata, ...)``."""

    def make(original):
        def _load_from_state_dict(self, state, prefix, metadata, strict, *lists):
            return change(original, self, state, prefix, metadata, strict, *lists)

        return _load_from_state_dict

    return make


def with_metadata(new, state):
    if hasattr(state, "_metadata"):
        new._metadata = state._metadata
    return new


def own_tensors(module):
    return {key: value for key, value in [*module._parameters.items(), *module._buffers.items()] if value is not None}


def hooking(name, wrap):
    def apply(patch):
        patch(nn.Module, name, lambda original: lambda self, hook: original(self, wrap(hook)))

    return apply
