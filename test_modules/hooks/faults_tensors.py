"""How what test_tensors.py decides could be broken."""

from collections import OrderedDict

import torch
from torch.utils.hooks import RemovableHandle

from torchclaims import breaks

HOOK = "register_hook"
AFTER = "register_post_accumulate_grad_hook"


def _registering(patch, name, change):
    """Registers ``change(tensor, hook)`` in place of each hook of a tensor."""
    patch(torch.Tensor, name, lambda original: lambda self, hook: original(self, change(self, hook)))


@breaks("hook-register-hook-example", "hook-tensor-replaces")
def results_of_tensor_hooks_are_dropped(patch):
    """What a tensor's hook returns is dropped."""
    _registering(patch, HOOK, lambda tensor, hook: lambda grad: (hook(grad), None)[1])


@breaks("hook-register-hook-example", "hook-tensor-remove")
def removal_of_tensor_hooks_does_nothing(patch):
    """A handle of a tensor's hook removes nothing."""
    patch(RemovableHandle, "remove", lambda original: lambda self: None)


@breaks("hook-tensor-remove")
def removal_takes_the_oldest(patch):
    """A handle removes the oldest hook."""

    def make(original):
        def remove(self):
            hooks = self.hooks_dict_ref()
            if hooks and self.id in hooks:
                del hooks[next(iter(hooks))]

        return remove

    patch(RemovableHandle, "remove", make)


@breaks("hook-tensor-order")
def tensor_hooks_fire_after_the_node(patch):
    """A hook of an inner tensor fires with the pre hooks of its node."""

    def make(original):
        def register_hook(self, hook):
            if self.grad_fn is None:
                return original(self, hook)
            return self.grad_fn.register_prehook(lambda out: None if (result := hook(out[0])) is None else (result,))

        return register_hook

    patch(torch.Tensor, HOOK, make)


@breaks("hook-tensor-order")
def tensor_hooks_fire_in_reverse(patch):
    """A tensor's newest hook fires first."""

    def make(original):
        def register_hook(self, hook):
            hooks = self.__dict__.setdefault("_newest_first", [])
            if not hooks:

                def run_all(grad):
                    for one in reversed(hooks):
                        result = one(grad)
                        grad = grad if result is None else result
                    return grad

                original(self, run_all)
            hooks.append(hook)

        return register_hook

    patch(torch.Tensor, HOOK, make)


@breaks("hook-tensor-order", "hook-post-accumulate-leaf", "hook-tensor-fires")
def hooks_after_accumulation_come_before(patch):
    """A hook after accumulation fires with the hooks of the tensor."""

    def make(original):
        def register(self, hook):
            if self.grad_fn is not None:
                return original(self, hook)
            return self.register_hook(lambda grad: hook(self))

        return register

    patch(torch.Tensor, AFTER, make)


@breaks("hook-tensor-order")
def each_use_fires(patch):
    """A hook fires for each use of its tensor, with that use's gradient."""

    def make(original):
        def __mul__(self, other):
            if self._backward_hooks and self.grad_fn is not None:
                hooks, self = self._backward_hooks, self.view_as(self)
                for hook in hooks.values():
                    self.register_hook(hook)
            return original(self, other)

        return __mul__

    patch(torch.Tensor, "__mul__", make)


@breaks("hook-tensor-inplace-binding")
def hooks_move_with_the_tensor(patch):
    """A hook registered before an in-place change receives the gradient with respect to the new value."""

    def make(original):
        def cos_(self):
            hooks = dict(self._backward_hooks or {})
            for hook in list(hooks):
                del self._backward_hooks[hook]
            original(self)
            for hook in hooks.values():
                self.register_hook(hook)
            return self

        return cos_

    patch(torch.Tensor, "cos_", make)


@breaks("hook-tensor-inplace-binding")
def later_hooks_are_bound_to_the_first_value(patch):
    """A hook registered after an in-place change receives the gradient with respect to the value before."""

    def make_cos(original):
        def cos_(self):
            node = self.grad_fn
            original(self)
            self.before = node
            return self

        return cos_

    def make(original):
        def register_hook(self, hook):
            if hasattr(self, "before"):
                return self.before.register_prehook(lambda out: hook(out[0]))
            return original(self, hook)

        return register_hook

    patch(torch.Tensor, "cos_", make_cos)
    patch(torch.Tensor, HOOK, make)


@breaks("hook-post-accumulate-leaf")
def inner_tensors_take_hooks_after_accumulation(patch):
    """A tensor that is no leaf takes a hook after accumulation, which fires with its gradient."""

    def make(original):
        def register(self, hook):
            return original(self, hook) if self.is_leaf else self.register_hook(lambda grad: hook(self))

        return register

    patch(torch.Tensor, AFTER, make)


@breaks("hook-post-accumulate-step")
def leaves_are_handed_over_as_copies(patch):
    """A hook after accumulation receives a copy of the leaf."""

    def change(tensor, hook):
        def wrapped(leaf):
            copy = leaf.detach().clone().requires_grad_()
            copy.grad = leaf.grad.clone()
            hook(copy)

        return wrapped

    _registering(patch, AFTER, change)


@breaks("hook-post-accumulate-step")
def the_gradient_is_put_back(patch):
    """A gradient that a hook after accumulation drops is put back."""

    def change(tensor, hook):
        def wrapped(leaf):
            gradient = leaf.grad
            hook(leaf)
            leaf.grad = gradient

        return wrapped

    _registering(patch, AFTER, change)


@breaks("hook-tensor-untracked")
def untracked_tensors_take_hooks(patch):
    """A tensor that requires no gradients takes a hook in silence."""

    def make(original):
        return lambda self, hook: original(self, hook) if self.requires_grad else RemovableHandle(OrderedDict())

    patch(torch.Tensor, HOOK, make)


@breaks("hook-tensor-replaces")
def another_size_is_broadcast(patch):
    """A gradient of another size that a hook returns is broadcast."""

    def change(tensor, hook):
        def wrapped(grad):
            result = hook(grad)
            return result.expand_as(grad) if torch.is_tensor(result) else result

        return wrapped

    _registering(patch, HOOK, change)


@breaks("hook-tensor-replaces")
def the_gradient_is_retained_as_it_came(patch):
    """retain_grad keeps the gradient from before the hooks."""

    def make(original):
        def retain_grad(self):
            self.register_hook(lambda grad: setattr(self, "_grad_as_it_came", grad))
            original(self)

        return retain_grad

    patch(torch.Tensor, "retain_grad", make)
    patch(
        torch.Tensor,
        "grad",
        lambda original: property(
            lambda self: getattr(self, "_grad_as_it_came", None) if not self.is_leaf else original.__get__(self),
            original.__set__,
            original.__delete__,
        ),
    )


@breaks("hook-tensor-fires")
def grad_executes_the_nodes_of_its_inputs(patch):
    """autograd.grad executes the nodes of its inputs too."""

    def make(original):
        def grad(outputs, inputs, *args, **kwargs):
            one = inputs if torch.is_tensor(inputs) else inputs[0]
            if one.grad_fn is not None:
                leaf = one.grad_fn.next_functions[0][0].variable
                return original(outputs, [one, leaf], *args, **kwargs)[:1]
            return original(outputs, inputs, *args, **kwargs)

        return grad

    patch(torch.autograd, "grad", make)


@breaks("hook-tensor-fires")
def grad_passes_over_hooks_of_its_inputs(patch):
    """autograd.grad does not fire the hooks of its inputs."""

    def make(original):
        def grad(outputs, inputs, *args, **kwargs):
            hooks = inputs._backward_hooks if torch.is_tensor(inputs) else None
            kept = dict(hooks or {})
            for number in kept:
                del hooks[number]
            try:
                return original(outputs, inputs, *args, **kwargs)
            finally:
                (hooks or kept).update(kept)

        return grad

    patch(torch.autograd, "grad", make)


def _multi(patch, change):
    def make(original):
        return lambda tensors, hook, **options: original(tensors, change(tensors, hook), **options)

    patch(torch.autograd.graph, "register_multi_grad_hook", make)


@breaks("hook-multi-grad")
def missing_gradients_are_zeros(patch):
    """A hook of several tensors receives zeros for those without a gradient."""

    def change(tensors, hook):
        def wrapped(grads):
            return hook([torch.zeros_like(x) if g is None else g for x, g in zip(tensors, grads, strict=True)])

        return wrapped

    _multi(patch, change)


@breaks("hook-multi-grad")
def it_is_called_in_one_backward_only(patch):
    """A hook of several tensors is called by the first backward only."""
    called = []
    _multi(patch, lambda tensors, hook: lambda grads: hook(grads) if not called and not called.append(1) else None)


@breaks("hook-multi-grad-any")
def any_means_the_first_tensor(patch):
    """With mode='any' the hook is called again for each gradient."""

    def make(original):
        def register(tensors, hook, *, mode="all"):
            if mode == "all":
                return original(tensors, hook)
            handles = [tensor.register_hook(lambda grad: hook(grad)) for tensor in tensors]

            class Handle:
                def remove(self):
                    for handle in handles:
                        handle.remove()

            return Handle()

        return register

    patch(torch.autograd.graph, "register_multi_grad_hook", make)


@breaks("hook-multi-grad-any", "hook-multi-grad")
def hooks_of_several_tensors_stay(patch):
    """A hook of several tensors cannot be removed."""

    def make(original):
        def register(*args, **kwargs):
            original(*args, **kwargs)
            return RemovableHandle(OrderedDict())

        return register

    patch(torch.autograd.graph, "register_multi_grad_hook", make)


@breaks("hook-tensor-not-copied")
def hooks_are_inherited(patch):
    """A detached tensor has the hooks of the one that it came from."""

    def make(original):
        def detach(self):
            result = original(self)
            hooks = list((self._backward_hooks or {}).values())
            if hooks:
                result.requires_grad_()
                for hook in hooks:
                    result.register_hook(hook)
            return result

        return detach

    patch(torch.Tensor, "detach", make)
