"""How what test_everywhere.py decides could be broken."""

import warnings

import torch
from torch import nn
from torch.nn.modules import module as everywhere
from torch.utils.hooks import BackwardHook

from torchclaims import breaks


def _registering(patch, name, change):
    """Registers ``change(hook)`` in place of each hook."""
    patch(everywhere, name, lambda original: lambda hook, **options: original(change(hook), **options))


def _containers_only(hook):
    return lambda module, *given: hook(module, *given) if module._modules else None


@breaks("hook-global-every-module")
def layers_run_no_global_hooks(patch):
    """Forward hooks of all modules run for containers only."""
    _registering(patch, "register_module_forward_hook", _containers_only)


@breaks("hook-global-every-module")
def global_pre_hooks_see_keywords(patch):
    """A pre hook of all modules receives keyword arguments at the end of the others."""

    def make(original):
        def __call__(self, *args, **kwargs):
            self.__dict__["_keywords"] = tuple(kwargs.values())
            return original(self, *args, **kwargs)

        return __call__

    patch(nn.Module, "__call__", make)
    _registering(
        patch,
        "register_module_forward_pre_hook",
        lambda hook: lambda module, args: hook(module, args + module._keywords),
    )


@breaks("hook-global-every-module")
def false_results_of_global_pre_hooks_are_dropped(patch):
    """What a pre hook of all modules returns counts only where it is true."""
    _registering(patch, "register_module_forward_pre_hook", lambda hook: lambda *given: hook(*given) or None)


@breaks("hook-global-every-module")
def false_results_of_global_hooks_are_dropped(patch):
    """What a forward hook of all modules returns counts only where it is true."""
    _registering(patch, "register_module_forward_hook", lambda hook: lambda *given: hook(*given) or None)


@breaks("hook-global-with-kwargs")
def global_hooks_see_no_keywords(patch):
    """A forward hook of all modules receives an empty dict."""
    _registering(
        patch,
        "register_module_forward_hook",
        lambda hook: lambda *given: hook(*given[:2], {}, given[-1]) if len(given) == 4 else hook(*given),
    )


def _options(patch, change):
    def make(original):
        def register(hook, **options):
            change(options)
            return original(hook, **options)

        return register

    patch(everywhere, "register_module_forward_hook", make)


@breaks("hook-global-always-call")
def global_hooks_are_never_called_for_errors(patch):
    """No forward hook of all modules runs when forward raises."""
    _options(patch, lambda options: options.update(always_call=False))


@breaks("hook-global-always-call")
def global_hooks_are_always_called(patch):
    """Every forward hook of all modules runs when forward raises."""
    _options(patch, lambda options: options.update(always_call=True))


@breaks("hook-global-always-call")
def late_global_errors_are_silent(patch):
    """What a forward hook of all modules raises after an error is dropped without a warning."""

    def make(original):
        def __call__(self, *args, **kwargs):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="global module forward hook")
                return original(self, *args, **kwargs)

        return __call__

    patch(nn.Module, "__call__", make)


@breaks("hook-global-always-call")
def late_global_hooks_run_again(patch):
    """A hook of all modules that has run is called again where a later one raises."""

    def make(original):
        def __call__(self, *args, **kwargs):
            try:
                return original(self, *args, **kwargs)
            except LookupError:
                for number in everywhere._global_forward_hooks_always_called:
                    everywhere._global_forward_hooks[number](self, args, None)
                raise

        return __call__

    patch(nn.Module, "__call__", make)


@breaks("hook-global-always-call")
def late_global_results_are_dropped(patch):
    """What a hook of all modules returns after an error is not handed on."""

    def dropping(hook):
        def wrapped(*given):
            result = hook(*given)
            return None if given[-1] is None else result

        return wrapped

    _registering(patch, "register_module_forward_hook", dropping)


@breaks("hook-global-always-kwargs")
def late_global_hooks_receive_keywords(patch):
    """After an error, too, a hook of all modules with with_kwargs=True receives the keyword arguments."""

    def make_call(original):
        def __call__(self, *args, **kwargs):
            self.__dict__["_keywords"] = kwargs
            return original(self, *args, **kwargs)

        return __call__

    def make(original):
        def register(hook, **options):
            def filled(module, *given):
                return hook(module, given[0], module._keywords, given[-1])

            return original(filled if options.get("with_kwargs") else hook, **options)

        return register

    patch(nn.Module, "__call__", make_call)
    patch(everywhere, "register_module_forward_hook", make)


@breaks("hook-global-backward")
def global_backward_hooks_run_last(patch):
    """Backward hooks of all modules fire after those of the module."""

    def make(original):
        def __init__(self, module, hooks, pre_hooks):
            count = len(everywhere._global_backward_hooks)
            original(self, module, [*hooks[count:], *hooks[:count]], pre_hooks)

        return __init__

    patch(BackwardHook, "__init__", make)


@breaks("hook-global-backward")
def global_backward_pre_hooks_run_last(patch):
    """Backward pre hooks of all modules fire after those of the module."""

    def make(original):
        def __init__(self, module, hooks, pre_hooks):
            count = len(everywhere._global_backward_pre_hooks)
            original(self, module, hooks, [*pre_hooks[count:], *pre_hooks[:count]])

        return __init__

    patch(BackwardHook, "__init__", make)


@breaks("hook-global-backward")
def global_backward_hooks_need_another(patch):
    """Backward hooks of all modules fire only for modules with hooks of their own."""
    for name in ("register_module_full_backward_hook", "register_module_full_backward_pre_hook"):
        _registering(
            patch,
            name,
            lambda hook: (
                lambda module, *grads: (
                    hook(module, *grads) if module._backward_hooks or module._backward_pre_hooks else None
                )
            ),
        )


@breaks("hook-global-backward")
def results_of_global_backward_hooks_are_dropped(patch):
    """What a backward pre hook of all modules returns is dropped."""
    _registering(patch, "register_module_full_backward_pre_hook", lambda hook: lambda *given: (hook(*given), None)[1])


@breaks("hook-global-mix")
def kinds_are_mixed_everywhere(patch):
    """All modules take old hooks beside full ones."""

    def make(original):
        def register(hook):
            handle = torch.utils.hooks.RemovableHandle(everywhere._global_backward_hooks)
            everywhere._global_backward_hooks[handle.id] = hook
            return handle

        return register

    patch(everywhere, "register_module_backward_hook", make)


@breaks("hook-global-mix")
def old_hooks_yield_to_global_ones(patch):
    """An old hook of one module does not fire beside full ones of all."""

    def make(original):
        def get(self):
            full, other = original(self)
            return full, [] if full else other

        return get

    patch(nn.Module, "_get_backward_hooks", make)


def _assigning(patch, change):
    patch(nn.Module, "__setattr__", lambda original: lambda self, name, value: change(original, self, name, value))


@breaks("hook-registration")
def assignments_are_not_announced(patch):
    """A module assigned to an attribute is registered without a word."""

    def change(original, owner, name, value):
        if isinstance(value, nn.Module) and "_modules" in owner.__dict__:
            owner._modules[name] = value
        else:
            original(owner, name, value)

    _assigning(patch, change)


@breaks("hook-registration")
def results_of_registration_hooks_are_dropped(patch):
    """What a registration hook for buffers returns is dropped."""
    _registering(patch, "register_module_buffer_registration_hook", lambda hook: lambda *given: (hook(*given), None)[1])


@breaks("hook-registration")
def nothing_is_announced_of_children_given_up(patch):
    """A child that is set to None is given up without a word."""
    _registering(
        patch,
        "register_module_module_registration_hook",
        lambda hook: lambda owner, name, value: None if value is None else hook(owner, name, value),
    )


@breaks("hook-registration")
def parameters_are_announced_as_buffers(patch):
    """Registering a buffer calls the hooks for parameters."""

    def make(original):
        def register_buffer(self, name, tensor, persistent=True):
            for hook in everywhere._global_parameter_registration_hooks.values():
                hook(self, name, tensor)
            return original(self, name, tensor, persistent)

        return register_buffer

    patch(nn.Module, "register_buffer", make)


@breaks("hook-registration")
def the_first_result_wins(patch):
    """Of several registration hooks for parameters only the first result counts."""
    seen = {}

    def change(hook):
        def wrapped(owner, name, value):
            result = hook(owner, name, value)
            return seen.setdefault((id(owner), name), result) if result is not None else None

        return wrapped

    _registering(patch, "register_module_parameter_registration_hook", change)
