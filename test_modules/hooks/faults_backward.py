"""How what test_backward.py decides could be broken."""

import torch
from torch import nn
from torch.utils.hooks import BackwardHook, RemovableHandle

from torchclaims import breaks

FULL = "register_full_backward_hook"
PRE = "register_full_backward_pre_hook"


def _registering(patch, name, change):
    """Registers ``change(hook)`` in place of each hook."""
    patch(nn.Module, name, lambda original: lambda self, hook, *args, **kw: original(self, change(hook), *args, **kw))


@breaks("hook-bw-kwargs-none")
def inputs_that_are_no_tensors_are_left_out(patch):
    """grad_input holds the gradients of the tensors only."""

    def without_none(hook):
        return lambda module, into, out: hook(module, tuple(one for one in into if one is not None), out)

    _registering(patch, FULL, without_none)


@breaks("hook-bw-kwargs-none")
def outputs_that_are_no_tensors_are_left_out(patch):
    """grad_output holds the gradients of the tensors only, for the pre hook."""
    _registering(patch, PRE, lambda hook: lambda module, out: hook(module, tuple(x for x in out if x is not None)))


@breaks("hook-bw-kwargs-none")
def keyword_arguments_become_inputs(patch):
    """A tensor passed by keyword counts as an input."""

    def make(original):
        def __call__(self, *args, **kwargs):
            return original(self, *args, *kwargs.values()) if self._backward_hooks else original(self, *args, **kwargs)

        return __call__

    patch(nn.Module, "__call__", make)


@breaks("hook-bw-kwargs-none", "hook-bw-rule1")
def gradients_come_in_reverse(patch):
    """grad_input stands in reverse order."""
    _registering(patch, FULL, lambda hook: lambda module, into, out: hook(module, into[::-1], out))


@breaks("hook-bw-kwargs-none")
def hooks_receive_the_newest_module(patch):
    """Every backward hook receives the module that was called last."""
    last = []

    def make(original):
        def __init__(self, module, *args):
            last[:] = [module]
            original(self, module, *args)

        return __init__

    patch(BackwardHook, "__init__", make)
    for name in (FULL, PRE):
        _registering(patch, name, lambda hook: lambda module, *given: hook(last[0], *given))


@breaks("hook-reuse-fires-each-call")
def hooks_fire_once_a_module(patch):
    """A backward hook of a module fires for its last call only."""

    def make(original):
        def __init__(self, module, hooks, pre_hooks):
            previous = module.__dict__.get("_latest")
            if previous is not None:
                previous.user_hooks, previous.user_pre_hooks = [], []
            module.__dict__["_latest"] = self
            original(self, module, hooks, pre_hooks)

        return __init__

    patch(BackwardHook, "__init__", make)


@breaks("hook-reuse-fires-each-call")
def hooks_fire_once_a_graph(patch):
    """A second backward through the same graph does not fire pre hooks."""
    seen = []

    def once(hook):
        def wrapped(module, out):
            if seen.count(module):
                return None
            seen.append(module)
            return hook(module, out)

        return wrapped

    _registering(patch, PRE, once)


@breaks("hook-reuse-fires-each-call")
def hooks_fire_at_the_call(patch):
    """The call itself fires the full backward hooks."""

    def make(original):
        def __call__(self, *args, **kwargs):
            output = original(self, *args, **kwargs)
            if torch.is_tensor(output):
                for hook in self._backward_hooks.values():
                    hook(self, (torch.zeros_like(output),), (torch.zeros_like(output),))
            return output

        return __call__

    patch(nn.Module, "__call__", make)


@breaks("hook-bw-rule1")
def hooks_fire_with_the_outputs(patch):
    """A full backward hook always fires by the rule for inputs without gradients."""
    _untracked_inputs(patch, lambda args: True)


@breaks("hook-bw-rule1")
def all_inputs_must_require_gradients(patch):
    """A full backward hook fires by the rule for untracked inputs where one of several is untracked."""
    _untracked_inputs(patch, lambda args: not all(one.requires_grad for one in args if torch.is_tensor(one)))


def _untracked_inputs(patch, applies):
    def make(original):
        def setup_input_hook(self, args):
            if not applies(args):
                return original(self, args)
            self.n_inputs, self.input_tensors_index = len(args), None
            return args

        return setup_input_hook

    patch(BackwardHook, "setup_input_hook", make)


@breaks("hook-bw-rule2")
def untracked_inputs_never_fire(patch):
    """Where no input requires gradients, full backward hooks do not fire."""

    def make(original):
        def setup_input_hook(self, args):
            result = original(self, args)
            if self.input_tensors_index is None:
                self.user_hooks = []
            return result

        return setup_input_hook

    patch(BackwardHook, "setup_input_hook", make)


@breaks("hook-bw-rule2")
def untracked_inputs_get_one_none(patch):
    """Where no input requires gradients, grad_input is (None,) whatever the inputs."""

    def make(original):
        def setup_input_hook(self, args):
            result = original(self, args)
            if self.input_tensors_index is None:
                self.n_inputs = 1
            return result

        return setup_input_hook

    patch(BackwardHook, "setup_input_hook", make)


@breaks("hook-bw-rule2")
def results_for_untracked_inputs_are_ignored(patch):
    """Where no input requires gradients, what a hook returns is dropped."""

    def dropping(hook):
        def wrapped(module, into, out):
            result = hook(module, into, out)
            return result if any(one is not None for one in into) else None

        return wrapped

    _registering(patch, FULL, dropping)


@breaks("hook-bw-rule3")
def detaching_modules_fire_too(patch):
    """A module whose output requires no gradient fires its pre hooks at the call."""

    def make(original):
        def __call__(self, *args, **kwargs):
            output = original(self, *args, **kwargs)
            if torch.is_tensor(output) and not output.requires_grad and torch.is_grad_enabled():
                for hook in self._backward_pre_hooks.values():
                    hook(self, (torch.zeros_like(output),))
            return output

        return __call__

    patch(nn.Module, "__call__", make)


@breaks("hook-bw-rule3")
def hooks_track_what_was_untracked(patch):
    """A module with backward hooks records its call under no_grad too."""

    def make(original):
        def __call__(self, *args, **kwargs):
            with torch.set_grad_enabled(torch.is_grad_enabled() or bool(self._backward_hooks)):
                return original(self, *args, **kwargs)

        return __call__

    patch(nn.Module, "__call__", make)


@breaks("hook-bw-replace")
def results_of_hooks_are_dropped(patch):
    """What a full backward hook returns is dropped."""
    _registering(patch, FULL, lambda hook: lambda *given: (hook(*given), None)[1])


@breaks("hook-bw-replace")
def lists_are_dropped(patch):
    """What a full backward hook returns counts only where it is a tuple."""

    def only_tuples(hook):
        def wrapped(*given):
            result = hook(*given)
            return result if isinstance(result, tuple) else None

        return wrapped

    _registering(patch, FULL, only_tuples)


@breaks("hook-bw-replace")
def parameters_take_the_replacement(patch):
    """Parameters' gradients grow with the replaced gradient of the input."""

    def scaling(hook):
        def wrapped(module, into, out):
            result = hook(module, into, out)
            if result is not None:
                for parameter in module.parameters():
                    parameter.grad = torch.ones_like(parameter)
            return result

        return wrapped

    _registering(patch, FULL, scaling)


@breaks("hook-bw-replace", "hook-bw-pre-replace")
def a_wrong_number_is_filled_with_none(patch):
    """Too few gradients are filled up with None, and too many cut off."""

    def filling(hook):
        def wrapped(module, *grads):
            result = hook(module, *grads)
            return None if result is None else (*result, *(None,) * len(grads[0]))[: len(grads[0])]

        return wrapped

    _registering(patch, FULL, filling)
    _registering(patch, PRE, filling)


@breaks("hook-bw-replace")
def none_keeps_the_gradient(patch):
    """None for one input keeps its gradient."""

    def keeping(hook):
        def wrapped(module, into, out):
            result = hook(module, into, out)
            fits = result is not None and len(result) == len(into)
            return [b if a is None else a for a, b in zip(result, into, strict=True)] if fits else result

        return wrapped

    _registering(patch, FULL, keeping)


@breaks("hook-bw-pre-replace")
def parameters_keep_the_gradient_of_the_output(patch):
    """What a backward pre hook returns reaches the full backward hooks, and not autograd."""

    def make(original):
        def setup_output_hook(self, args):
            pre_hooks, self.user_pre_hooks = self.user_pre_hooks, []
            hooks = self.user_hooks

            def seeing(hook):
                def wrapped(module, into, out):
                    for pre_hook in pre_hooks:
                        out = pre_hook(module, out) or out
                    return hook(module, into, out)

                return wrapped

            self.user_hooks = [seeing(hook) for hook in hooks]
            return original(self, args)

        return setup_output_hook

    patch(BackwardHook, "setup_output_hook", make)


@breaks("hook-bw-pre-replace")
def only_the_last_pre_hook_replaces(patch):
    """Each backward pre hook receives the gradient that came in, not what the hook before it made of it."""
    first = {}

    def seeing(hook):
        def wrapped(module, out):
            return hook(module, first.setdefault(id(module), out))

        return wrapped

    _registering(patch, PRE, seeing)


@breaks("hook-bw-pre-tensor")
def a_tensor_is_wrapped(patch):
    """A tensor that a backward pre hook returns is used as the gradient."""

    def wrapping(hook):
        def wrapped(module, out):
            result = hook(module, out)
            return (result,) if isinstance(result, torch.Tensor) else result

        return wrapped

    _registering(patch, PRE, wrapping)


@breaks("hook-bw-inplace")
def forward_receives_a_copy(patch):
    """With backward hooks forward receives a copy of its input, which it may change; so may the caller the output."""

    def make(original):
        def copying(self, args):
            result = original(self, args)
            if isinstance(result, tuple):
                return tuple(one.clone() if torch.is_tensor(one) else one for one in result)
            return result.clone() if torch.is_tensor(result) else result

        return copying

    for name in ("setup_input_hook", "setup_output_hook"):
        patch(BackwardHook, name, make)


@breaks("hook-bw-inplace")
def zeroing_is_allowed(patch):
    """zero_ of an output of a hooked module is let through."""
    patch(torch.Tensor, "zero_", lambda original: lambda self: (original(self.detach()), self)[1])


@breaks("hook-bw-inplace-untracked")
def untracked_inputs_are_protected(patch):
    """In-place operations on what a module with backward hooks takes are refused, tracked or not."""

    class Protected(torch.Tensor):
        def mul_(self, other):
            raise RuntimeError("this is a view and is being modified inplace")

    def make(original):
        def setup_input_hook(self, args):
            return tuple(one.as_subclass(Protected) if torch.is_tensor(one) else one for one in original(self, args))

        return setup_input_hook

    patch(BackwardHook, "setup_input_hook", make)


@breaks("hook-bw-view")
def hooked_modules_copy(patch):
    """With backward hooks forward's output is copied."""

    def make(original):
        def setup_output_hook(self, output):
            result = original(self, output)
            return result.clone() if torch.is_tensor(result) else result

        return setup_output_hook

    patch(BackwardHook, "setup_output_hook", make)


@breaks("hook-bw-view")
def forward_receives_the_input_itself(patch):
    """With backward hooks forward receives the tensor that the caller passed."""

    def make(original):
        def setup_input_hook(self, args):
            original(self, args)
            return args

        return setup_input_hook

    patch(BackwardHook, "setup_input_hook", make)


@breaks("hook-bw-dict-output")
def dicts_warn_of_nothing(patch):
    """A module with backward hooks returns a dict without a warning."""

    def make(original):
        def __call__(self, *args, **kwargs):
            hooks, pre_hooks = dict(self._backward_hooks), dict(self._backward_pre_hooks)
            if type(self).__name__ == "Packing":
                self._backward_hooks.clear()
                self._backward_pre_hooks.clear()
            try:
                return original(self, *args, **kwargs)
            finally:
                self._backward_hooks.update(hooks)
                self._backward_pre_hooks.update(pre_hooks)

        return __call__

    patch(nn.Module, "__call__", make)


@breaks("hook-bw-dict-output")
def lists_fire(patch):
    """Backward hooks fire for the tensors of a list."""

    def make(original):
        def setup_output_hook(self, output):
            return list(original(self, tuple(output))) if isinstance(output, list) else original(self, output)

        return setup_output_hook

    patch(BackwardHook, "setup_output_hook", make)


@breaks("hook-mix")
def kinds_are_mixed(patch):
    """A module takes old hooks after full ones."""

    def make(original):
        def register(self, hook):
            before, self._is_full_backward_hook = self._is_full_backward_hook, None
            handle = original(self, hook)
            self._is_full_backward_hook = before
            return handle

        return register

    patch(nn.Module, "register_backward_hook", make)


@breaks("hook-mix")
def the_second_kind_wins(patch):
    """A full hook that is refused still replaces the old ones."""

    def make(original):
        def register(self, hook, prepend=False):
            try:
                return original(self, hook, prepend)
            except RuntimeError:
                self._backward_hooks.clear()
                raise

        return register

    patch(nn.Module, FULL, make)


@breaks("hook-bw-remove")
def remove_takes_the_newest(patch):
    """A handle removes the hook that was registered last."""

    def make(original):
        def remove(self):
            hooks = self.hooks_dict_ref()
            if hooks and self.id in hooks:
                hooks.popitem()

        return remove

    patch(RemovableHandle, "remove", make)


@breaks("hook-bw-remove")
def the_end_of_a_block_removes_nothing(patch):
    """A handle's with block leaves the hook where it is."""
    patch(RemovableHandle, "__exit__", lambda original: lambda self, *_: None)


@breaks("hook-bw-legacy")
def old_hooks_warn_of_nothing(patch):
    """Hooks of register_backward_hook miss gradients in silence."""
    patch(nn.Module, "_maybe_warn_non_full_backward_hook", lambda original: lambda self, *_: None)


@breaks("hook-bw-legacy")
def old_hooks_always_warn(patch):
    """The call warns that the outputs are generated by different nodes, though there is one."""

    def make(original):
        def warn(self, inputs, result, grad_fn):
            original(self, inputs, (result, result * 1) if torch.is_tensor(result) else result, grad_fn)

        return warn

    patch(nn.Module, "_maybe_warn_non_full_backward_hook", make)


@breaks("hook-bw-legacy")
def results_of_old_hooks_are_dropped(patch):
    """What a hook of register_backward_hook returns is dropped."""
    _registering(patch, "register_backward_hook", lambda hook: lambda *given: (hook(*given), None)[1])


@breaks("hook-mix")
def mixing_drops_the_first(patch):
    """Refusing an old hook removes the full ones."""

    def make(original):
        def register(self, hook):
            try:
                return original(self, hook)
            except RuntimeError:
                self._backward_hooks.clear()
                raise

        return register

    patch(nn.Module, "register_backward_hook", make)
