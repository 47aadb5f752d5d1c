"""How what test_call.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


@breaks("module-call-vs-forward")
def hooks_are_forgotten_without_gradients(patch):
    """A fast path under no_grad goes straight to forward."""

    def fast(original):
        def __call__(self, *args, **kwargs):
            return original(self, *args, **kwargs) if torch.is_grad_enabled() else self.forward(*args, **kwargs)

        return __call__

    patch(nn.Module, "__call__", fast)


@breaks("module-call-vs-forward")
def pre_hooks_need_a_hook(patch):
    """Pre hooks run only where there are forward hooks too."""

    def needing(original):
        def __call__(self, *args, **kwargs):
            return original(self, *args, **kwargs) if self._forward_hooks else self.forward(*args, **kwargs)

        return __call__

    patch(nn.Module, "__call__", needing)


@breaks("module-any-io")
def lists_become_tuples(patch):
    """A call passes lists on as tuples."""

    def converting(original):
        def __call__(self, *args, **kwargs):
            args = [tuple(one) if isinstance(one, list) else one for one in args]
            return original(self, *args, **kwargs)

        return __call__

    patch(nn.Module, "__call__", converting)


@breaks("module-any-io")
def none_is_not_passed_on(patch):
    """A call leaves out keyword arguments that are None."""

    def leaving_out(original):
        def __call__(self, *args, **kwargs):
            return original(self, *args, **{key: value for key, value in kwargs.items() if value is not None})

        return __call__

    patch(nn.Module, "__call__", leaving_out)


@breaks("module-any-io")
def dicts_are_copied_out(patch):
    """A call returns a dict or list as a copy."""

    def copying(original):
        def __call__(self, *args, **kwargs):
            result = original(self, *args, **kwargs)
            return result.copy() if type(result) in (dict, list) else result

        return __call__

    patch(nn.Module, "__call__", copying)


@breaks("module-forward-missing")
def forward_is_the_identity(patch):
    """A module without forward returns what it is given."""
    patch(nn.Module, "forward", lambda original: lambda self, *args: args)


@breaks("module-any-io")
def a_tuple_that_comes_alone_is_spread(patch):
    """A call with one tuple takes its items for the arguments."""

    def spreading(original):
        def __call__(self, *args, **kwargs):
            spread = len(args) == 1 and not kwargs and type(args[0]) is tuple
            return original(self, *(args[0] if spread else args), **kwargs)

        return __call__

    patch(nn.Module, "__call__", spreading)
