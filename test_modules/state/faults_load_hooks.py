"""How what test_load_hooks.py decides could be broken."""

from torch import nn

from test_modules.state.changes import hooking, loading
from torchclaims import breaks


@breaks("load-pre-hook")
def pre_hooks_get_the_whole_metadata(patch):
    """A load pre hook gets metadata of version 1 in any case."""

    def wrap(hook):
        return lambda module, state, prefix, metadata, *args: hook(module, state, prefix, {"version": 1}, *args)

    hooking("register_load_state_dict_pre_hook", wrap)(patch)


@breaks("load-pre-hook")
def pre_hooks_get_a_copy(patch):
    """A load pre hook gets a copy of the state, which is lost."""

    def wrap(hook):
        return lambda module, state, *args: hook(module, dict(state), *args)

    hooking("register_load_state_dict_pre_hook", wrap)(patch)


@breaks("load-pre-hook-lists")
def pre_hooks_unexpected_keys_are_lost(patch):
    """What a load pre hook adds to unexpected_keys is lost."""

    def wrap(hook):
        def quiet(module, state, prefix, metadata, strict, missing, unexpected, errors):
            hook(module, state, prefix, metadata, strict, missing, list(unexpected), errors)

        return quiet

    hooking("register_load_state_dict_pre_hook", wrap)(patch)


@breaks("load-pre-hook-lists")
def pre_hooks_errors_are_lost(patch):
    """What a load pre hook adds to error_msgs is lost."""

    def wrap(hook):
        return lambda module, *args: hook(module, *args[:-1], [])

    hooking("register_load_state_dict_pre_hook", wrap)(patch)


@breaks("load-post-hook", "load-post-hook-decides")
def post_hooks_get_copies(patch):
    """A load post hook gets copies of the lists, without unexpected keys."""

    def wrap(hook):
        return lambda module, keys: hook(module, type(keys)(list(keys.missing_keys), []))

    hooking("register_load_state_dict_post_hook", wrap)(patch)


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

    patch(nn.Module, "load_state_dict", loading(change))


@breaks("load-post-hook-decides")
def post_hooks_cannot_add(patch):
    """Keys that a load post hook adds to unexpected_keys are taken out again."""

    def wrap(hook):
        def undone(module, keys):
            before = len(keys.unexpected_keys)
            hook(module, keys)
            del keys.unexpected_keys[before:]

        return undone

    hooking("register_load_state_dict_post_hook", wrap)(patch)
