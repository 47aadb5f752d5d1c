"""How what test_call.py decides could be broken."""

import warnings

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from torchclaims import breaks


def _calling(patch, change):
    """``change(original, self, args, kwargs)`` is what calling a module does."""
    patch(nn.Module, "__call__", lambda original: lambda self, *args, **kwargs: change(original, self, args, kwargs))


@breaks("hook-fwd-input-mutation", "hook-fwd-input-mutation-shared")
def hooks_run_before_forward_is_done(patch):
    """What a forward hook leaves in the input is what forward computes with, and it works on a copy of the output."""

    def change(original, module, args, kwargs):
        before = [one.clone() if torch.is_tensor(one) else one for one in args]
        output = original(module, *args, **kwargs)
        if not module._forward_hooks or not torch.is_tensor(output) or not torch.is_tensor(args[0]):
            return output
        if output.data_ptr() == args[0].data_ptr():
            return before[0].view_as(output)
        return module.forward(*args, **kwargs)

    _calling(patch, change)


@breaks("hook-fwd-input-mutation-shared")
def outputs_are_saved_before_hooks(patch):
    """The output is copied before the forward hooks run."""

    def make(original):
        def register(self, hook, **options):
            original(self, lambda module, args, output: output.clone(), prepend=True)
            return original(self, hook, **options)

        return register

    patch(nn.Module, "register_forward_hook", make)


@breaks("hook-always-call-kwargs")
def late_hooks_see_no_keywords(patch):
    """An always-called hook receives an empty dict where forward raised."""

    def change(hook):
        return lambda module, args, kwargs, output: hook(module, args, {} if output is None else kwargs, output)

    def make(original):
        return lambda self, hook, **options: original(
            self, change(hook) if options.get("with_kwargs") else hook, **options
        )

    patch(nn.Module, "register_forward_hook", make)


@breaks("hook-always-call-silenced")
def late_errors_vanish(patch):
    """What an always-called hook raises is dropped without a warning."""

    def change(original, module, args, kwargs):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*silenced as another error")
            return original(module, *args, **kwargs)

    _calling(patch, change)


@breaks("hook-always-call-silenced")
def late_errors_stop_the_others(patch):
    """After an always-called hook that raised, no other one is called."""

    def make(original):
        def register(self, hook, **options):
            failed = self.__dict__.setdefault("_failed", [])

            def wrapped(*given):
                if failed and given[-1] is None:
                    return None
                try:
                    return hook(*given)
                except Exception:
                    failed.append(hook)
                    raise

            return original(self, wrapped, **options)

        return register

    patch(nn.Module, "register_forward_hook", make)


@breaks("hook-always-call-silenced")
def pre_hooks_fail_alone(patch):
    """Always-called hooks do not run where a pre hook raised."""

    def make(original):
        def register(self, hook, **options):
            def wrapped(*given):
                try:
                    return hook(*given)
                except Exception:
                    self._forward_hooks_always_called.clear()
                    raise

            return original(self, wrapped, **options)

        return register

    patch(nn.Module, "register_forward_pre_hook", make)


@breaks("hook-always-call-silenced")
def late_results_are_dropped(patch):
    """What an always-called hook returns after an error is not handed on."""

    def make(original):
        def register(self, hook, **options):
            def wrapped(*given):
                result = hook(*given)
                return None if given[-1] is None else result

            return original(self, wrapped, **options)

        return register

    patch(nn.Module, "register_forward_hook", make)


@breaks("hook-always-call-silenced")
def hooks_that_failed_are_tried_again(patch):
    """An always-called hook that raised after forward is called once more."""

    def change(original, module, args, kwargs):
        try:
            return original(module, *args, **kwargs)
        except LookupError:
            for number in module._forward_hooks_always_called:
                try:
                    module._forward_hooks[number](module, args, None)
                except LookupError as error:
                    warnings.warn(str(error), stacklevel=2)
            raise

    _calling(patch, change)


@breaks("hook-remove-options")
def options_are_inherited(patch):
    """The next hook after a removal takes over the options of the one that was removed."""

    def make(original):
        def register(self, hook, **options):
            options["with_kwargs"] = options.get("with_kwargs", False) or self.__dict__.get("_registered", False)
            self.__dict__["_registered"] = True
            return original(self, hook, **options)

        return register

    patch(nn.Module, "register_forward_hook", make)


@breaks("hook-remove-options")
def removed_hooks_are_kept_for_errors(patch):
    """A removed hook that was always to be called is called where forward raises."""

    def make(original):
        def remove(self):
            hooks = self.hooks_dict_ref() or {}
            hook = hooks.get(self.id)
            always = len(self.extra_dict_ref) == 2 and self.id in (self.extra_dict_ref[1]() or ())
            original(self)
            if always:
                hooks[self.id] = lambda *given: hook(*given) if given[-1] is None else None
                self.extra_dict_ref[1]()[self.id] = True

        return remove

    patch(RemovableHandle, "remove", make)


@breaks("hook-kwargs-replaced-seen")
def forward_hooks_see_the_first_arguments(patch):
    """Forward hooks receive the arguments of the call, whatever pre hooks made of them."""

    def change(original, module, args, kwargs):
        module.__dict__["_called_with"] = args, kwargs
        return original(module, *args, **kwargs)

    def make(original):
        def register(self, hook, **options):
            def wrapped(module, args, *rest):
                first, keywords = module._called_with
                return hook(module, first, *((keywords, rest[-1]) if options.get("with_kwargs") else rest))

            return original(self, wrapped, **options)

        return register

    _calling(patch, change)
    patch(nn.Module, "register_forward_hook", make)


@breaks("hook-kwargs-replaced-seen")
def replaced_keywords_reach_forward_only(patch):
    """Later pre hooks receive the keyword arguments of the call."""

    def change(original, module, args, kwargs):
        module.__dict__["_keywords"] = kwargs
        return original(module, *args, **kwargs)

    def make(original):
        def register(self, hook, **options):
            if not options.get("with_kwargs"):
                return original(self, hook, **options)
            return original(self, lambda module, args, kwargs: hook(module, args, module._keywords), **options)

        return register

    _calling(patch, change)
    patch(nn.Module, "register_forward_pre_hook", make)


@breaks("hook-remove-options")
def removing_takes_the_next_hooks_options_along(patch):
    """remove drops the options of the hook registered after the one that goes, too."""

    def make(original):
        def remove(self):
            original(self)
            for reference in self.extra_dict_ref:
                options = reference()
                if options is not None:
                    options.pop(self.id + 1, None)

        return remove

    patch(torch.utils.hooks.RemovableHandle, "remove", make)
