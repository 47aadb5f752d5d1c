"""How what test_hooks.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


def _registering(change):
    """Makes a method that registers ``change(hook, options)`` with these options."""

    def make(original):
        def register(self, hook, **options):
            hook = change(hook, options) or hook
            return original(self, hook, **options)

        return register

    return make


@breaks("hook-order-forward")
def hooks_are_always_prepended(patch):
    """Each forward hook goes before those that are there."""
    patch(nn.Module, "register_forward_hook", _registering(lambda hook, options: options.update(prepend=True)))


@breaks("hook-order-forward")
def pre_hooks_with_keywords_run_first(patch):
    """Pre hooks that take keyword arguments run before the others."""

    def first(hook, options):
        options["prepend"] = options.get("prepend", False) or options.get("with_kwargs", False)

    patch(nn.Module, "register_forward_pre_hook", _registering(first))


@breaks("hook-order-forward")
def pre_hooks_are_never_prepended(patch):
    """Forward pre hooks ignore prepend."""
    patch(
        nn.Module,
        "register_forward_pre_hook",
        _registering(lambda hook, options: options.update(prepend=False)),
    )


@breaks("hook-order-forward")
def global_hooks_run_last(patch):
    """A global hook runs after the hooks of the module."""
    hooks = []

    class Handle:
        def __init__(self, hook):
            self.hook = hook
            hooks.append(hook)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            hooks.remove(self.hook)

    def last(original):
        def __call__(self, *args):
            output = original(self, *args)
            for hook in hooks:
                hook(self, args, output)
            return output

        return __call__

    patch(nn.modules.module, "register_module_forward_hook", lambda original: Handle)
    patch(nn.Module, "__call__", last)


@breaks("hook-order-forward")
def global_pre_hook_runs_after_forward(patch):
    """A global pre hook runs when forward is done."""

    def after(original):
        def register(hook):
            return nn.modules.module.register_module_forward_hook(lambda module, args, output: hook(module, args))

        return register

    patch(nn.modules.module, "register_module_forward_pre_hook", after)


@breaks("hook-fwd-arguments")
def hooks_see_a_detached_output(patch):
    """A forward hook receives the output detached."""

    def detached(hook, options):
        return lambda *given: hook(*given[:-1], given[-1].detach())

    patch(nn.Module, "register_forward_hook", _registering(detached))


@breaks("hook-fwd-arguments")
def hooks_see_no_keywords(patch):
    """A pre hook with with_kwargs=True receives an empty dict."""

    def without(hook, options):
        return (lambda module, args, kwargs: hook(module, args, {})) if options.get("with_kwargs") else None

    patch(nn.Module, "register_forward_pre_hook", _registering(without))


@breaks("hook-pre-wrap")
def false_results_of_pre_hooks_are_dropped(patch):
    """A pre hook's result counts only where it is true."""

    def dropping(hook, options):
        return lambda *given: hook(*given) or None

    patch(nn.Module, "register_forward_pre_hook", _registering(dropping))


@breaks("hook-pre-wrap")
def results_of_pre_hooks_are_always_wrapped(patch):
    """A tuple that a pre hook returns is one argument."""

    def wrapping(hook, options):
        def wrapped(*given):
            result = hook(*given)
            return None if result is None else (result,)

        return wrapped

    patch(nn.Module, "register_forward_pre_hook", _registering(wrapping))


@breaks("hook-kwargs")
def replaced_keywords_are_merged_late(patch):
    """A pre hook's keyword arguments give way to those of the call."""

    def giving_way(hook, options):
        def wrapped(module, args, kwargs):
            result = hook(module, args, kwargs)
            well_formed = isinstance(result, tuple) and len(result) == 2
            return (result[0], {**result[1], **kwargs}) if well_formed else result

        return wrapped if options.get("with_kwargs") else None

    patch(nn.Module, "register_forward_pre_hook", _registering(giving_way))


@breaks("hook-kwargs")
def malformed_results_are_ignored(patch):
    """A pre hook's result is ignored where it is no pair."""

    def ignoring(hook, options):
        def wrapped(module, args, kwargs):
            result = hook(module, args, kwargs)
            return result if isinstance(result, tuple) and len(result) == 2 else None

        return wrapped if options.get("with_kwargs") else None

    patch(nn.Module, "register_forward_pre_hook", _registering(ignoring))


@breaks("hook-fwd-replaces-output")
def false_results_of_hooks_are_dropped(patch):
    """A forward hook's result counts only where it is true."""
    patch(
        nn.Module,
        "register_forward_hook",
        _registering(lambda hook, options: lambda *given: hook(*given) or None),
    )


@breaks("hook-fwd-replaces-output")
def hooks_see_the_first_output(patch):
    """Each forward hook receives what forward returned, not what the hook before it made of that."""
    first = []

    def seeing(hook, options):
        def wrapped(*given):
            first.append(given[-1])
            return hook(*given[:-1], first[0])

        return wrapped

    def forgetting(original):
        def __call__(self, *args, **kwargs):
            first.clear()
            return original(self, *args, **kwargs)

        return __call__

    patch(nn.Module, "register_forward_hook", _registering(seeing))
    patch(nn.Module, "__call__", forgetting)


@breaks("hook-remove")
def remove_takes_the_newest(patch):
    """A handle removes the hook that was registered last."""

    def newest(original):
        def remove(self):
            hooks = self.hooks_dict_ref()
            if hooks and self.id in hooks:
                hooks.popitem()

        return remove

    patch(torch.utils.hooks.RemovableHandle, "remove", newest)


@breaks("hook-remove")
def second_remove_takes_another(patch):
    """A handle that is used up removes the oldest hook."""

    def another(original):
        def remove(self):
            hooks = self.hooks_dict_ref()
            if hooks:
                hooks.pop(self.id if self.id in hooks else next(iter(hooks)))

        return remove

    patch(torch.utils.hooks.RemovableHandle, "remove", another)


@breaks("hook-errors-pass")
def errors_of_hooks_become_none(patch):
    """A forward hook that raises counts as one that returns None."""

    def tolerant(hook, options):
        def wrapped(*given):
            try:
                return hook(*given)
            except LookupError:
                return None

        return wrapped

    patch(nn.Module, "register_forward_hook", _registering(tolerant))


@breaks("hook-errors-pass")
def forward_runs_before_an_error_is_raised(patch):
    """The error of a pre hook is raised after forward ran."""

    def late(original):
        def __call__(self, *args, **kwargs):
            try:
                return original(self, *args, **kwargs)
            except LookupError:
                self.forward(*args, **kwargs)
                raise

        return __call__

    patch(nn.Module, "__call__", late)


@breaks("hook-always-call")
def always_call_is_ignored(patch):
    """No hook runs when forward raises."""
    patch(
        nn.Module,
        "register_forward_hook",
        _registering(lambda hook, options: options.update(always_call=False)),
    )


@breaks("hook-always-call")
def every_hook_is_always_called(patch):
    """Every hook runs when forward raises."""
    patch(
        nn.Module,
        "register_forward_hook",
        _registering(lambda hook, options: options.update(always_call=True)),
    )


@breaks("hook-always-call")
def always_called_hook_sees_the_last_output(patch):
    """When forward raises, the hook receives the input as output."""

    def seeing(hook, options):
        def wrapped(module, args, output):
            return hook(module, args, args[0] if output is None else output)

        return wrapped

    patch(nn.Module, "register_forward_hook", _registering(seeing))


@breaks("hook-order-backward")
def backward_hooks_are_never_prepended(patch):
    """Full backward hooks ignore prepend."""
    patch(
        nn.Module,
        "register_full_backward_hook",
        _registering(lambda hook, options: options.update(prepend=False)),
    )


@breaks("hook-order-backward")
def backward_pre_hooks_are_always_prepended(patch):
    """Each backward pre hook goes before those that are there."""
    patch(
        nn.Module,
        "register_full_backward_pre_hook",
        _registering(lambda hook, options: options.update(prepend=True)),
    )


@breaks("hook-order-backward")
def backward_hooks_swap_their_gradients(patch):
    """A full backward hook receives the output's gradient first."""

    def swapping(hook, options):
        return lambda module, into, out: hook(module, out, into)

    patch(nn.Module, "register_full_backward_hook", _registering(swapping))


@breaks("hook-order-forward")
def global_hooks_need_another_hook(patch):
    """A call of a module without hooks of its own goes past the global hooks after forward."""

    def needing(original):
        def __call__(self, *args, **kwargs):
            others = (self._forward_hooks, self._forward_pre_hooks, nn.modules.module._global_forward_pre_hooks)
            return original(self, *args, **kwargs) if any(others) else self.forward(*args, **kwargs)

        return __call__

    patch(nn.Module, "__call__", needing)


@breaks("hook-order-backward")
def backward_pre_hooks_need_another_hook(patch):
    """A call of a module that has backward pre hooks only goes past them."""

    def needing(original):
        def __call__(self, *args, **kwargs):
            others = (self._forward_hooks, self._forward_pre_hooks, self._backward_hooks)
            return original(self, *args, **kwargs) if any(others) else self.forward(*args, **kwargs)

        return __call__

    patch(nn.Module, "__call__", needing)


@breaks("hook-remove")
def hooks_are_numbered_by_their_count(patch):
    """A hook's number is the count of hooks, so that one registered after a removal takes another's place."""

    def counting(original):
        def __init__(self, hooks_dict, **kwargs):
            original(self, hooks_dict, **kwargs)
            self.id = len(hooks_dict)

        return __init__

    patch(torch.utils.hooks.RemovableHandle, "__init__", counting)


@breaks("hook-always-call")
def always_called_hooks_run_again(patch):
    """An always-called hook that has run runs once more when a later hook raises."""

    def repeating(original):
        def __call__(self, *args, **kwargs):
            ran = []
            watcher = self.register_forward_hook(lambda *_: ran.append(1), prepend=True)
            try:
                return original(self, *args, **kwargs)
            except Exception:
                if ran:
                    for number in tuple(self._forward_hooks_always_called):
                        self._forward_hooks[number](self, args, None)
                raise
            finally:
                watcher.remove()

        return __call__

    patch(nn.Module, "__call__", repeating)
