"""How the graph, its hooks and custom functions could be broken."""

from importlib import import_module

import torch
from torch.autograd import graph
from torch.autograd.function import FunctionCtx

from torchclaims import breaks

GRADCHECK = import_module("torch.autograd.gradcheck")


def through(change):
    return lambda original: lambda *args, **kwargs: change(original, *args, **kwargs)


def ignoring(patch, owner, name):
    patch(owner, name, lambda original: lambda *args, **kwargs: None)


@breaks("grad-reuse-sums")
def third_use_is_lost(patch):
    """backward forgets uses beyond the second."""
    uses = {}

    def broken(original, self, other):
        count, _ = uses[id(self)] = (uses.get(id(self), (0,))[0] + 1, self)  # kept alive: its id stays its own
        return original(self.detach() if self.is_leaf and count > 2 else self, other)

    patch(torch.Tensor, "__mul__", through(broken))


@breaks("grad-backward-inputs")
def inputs_are_ignored(patch):
    """backward accumulates into all leaves whatever the inputs are."""

    def broken(original, self, *args, inputs=None, **kwargs):
        return original(self, *args, **kwargs)

    patch(torch.Tensor, "backward", through(broken))


@breaks("grad-nonscalar")
def several_elements_are_summed(patch):
    """backward without a vector sums the elements."""

    def broken(original, self, gradient=None, *args, **kwargs):
        return original(self, torch.ones_like(self) if gradient is None else gradient, *args, **kwargs)

    patch(torch.Tensor, "backward", through(broken))


@breaks("grad-vector-product", "grad-batched")
def vectors_are_ignored(patch):
    """grad takes ones for grad_outputs."""

    def broken(original, outputs, inputs, grad_outputs=None, **kwargs):
        if isinstance(grad_outputs, (list, tuple)):
            grad_outputs = [torch.ones_like(one) for one in grad_outputs]
        elif grad_outputs is not None:
            grad_outputs = torch.ones_like(grad_outputs)
        return original(outputs, inputs, grad_outputs, **kwargs)

    patch(torch.autograd, "grad", through(broken))


@breaks("grad-unused")
def unused_inputs_are_allowed(patch):
    """grad returns None for unused inputs, whatever is asked."""

    def broken(original, outputs, inputs, **kwargs):
        return original(outputs, inputs, allow_unused=True)

    patch(torch.autograd, "grad", through(broken))


@breaks("grad-create-graph")
def graphs_are_always_kept(patch):
    """grad keeps the graph whatever is asked."""

    def broken(original, outputs, inputs, **kwargs):
        return original(outputs, inputs, **{**kwargs, "retain_graph": True})

    patch(torch.autograd, "grad", through(broken))


@breaks("grad-retain-grad")
def retain_grad_keeps_a_double(patch):
    """retain_grad keeps twice the gradient."""

    def broken(original, self):
        original(self)
        if not self.is_leaf:
            self.register_hook(lambda gradient: gradient * 2)

    patch(torch.Tensor, "retain_grad", through(broken))


@breaks("grad-complex")
def complex_gradients_are_not_conjugated(patch):
    """The gradient of a complex tensor is the conjugate of what it is."""

    def broken(original, self, *args, **kwargs):
        original(self, *args, **kwargs)
        for leaf in leaves(self.grad_fn):
            if leaf.is_complex():
                leaf.grad = leaf.grad.conj().resolve_conj()

    patch(torch.Tensor, "backward", through(broken))


def leaves(node, seen=None):
    seen = set() if seen is None else seen
    if node is None or node in seen:
        return
    seen.add(node)
    if hasattr(node, "variable"):
        yield node.variable
    for following, _ in node.next_functions:
        yield from leaves(following, seen)


@breaks("saved-hooks-pack")
def unpack_is_not_asked(patch):
    """Hooks for saved tensors keep what unpack gave first."""

    def broken(original, self, pack, unpack):
        kept = {}
        original(self, pack, lambda packed: kept.setdefault(packed, unpack(packed) if packed not in kept else None))

    patch(graph.saved_tensors_hooks, "__init__", through(broken))


@breaks("saved-hooks-innermost")
def outer_hooks_apply_too(patch):
    """Hooks that end a context stay for one more saved tensor."""

    def broken(original, self, *error):
        original(self, *error)
        self.pack_hook(torch.ones(1))

    patch(graph.saved_tensors_hooks, "__exit__", through(broken))


@breaks("saved-pack-inplace")
def pack_gets_a_copy(patch):
    """Pack hooks get a copy."""

    def broken(original, self, pack, unpack):
        original(self, lambda tensor: pack(tensor.detach().clone()), unpack)

    patch(graph.saved_tensors_hooks, "__init__", through(broken))


@breaks("saved-register-hooks")
def items_are_shifted(patch):
    """What a pack hook reads from its tensor is off."""
    patch(torch.Tensor, "item", lambda original: lambda self: original(self) + 1)


@breaks("saved-identity", "graph-node")
def operations_work_on_views(patch):
    """square and exp work on an alias of their input."""
    patch(torch.Tensor, "square", lambda original: lambda self: original(self.view_as(self)))
    patch(torch.Tensor, "exp", lambda original: lambda self: original(self.view_as(self)))


@breaks("saved-disabled")
def hooks_are_not_disabled(patch):
    """disable_saved_tensors_hooks disables nothing."""
    from contextlib import nullcontext

    patch(graph, "disable_saved_tensors_hooks", lambda original: lambda message: nullcontext())


@breaks("saved-on-cpu")
def save_on_cpu_halves(patch):
    """save_on_cpu keeps half of each value."""

    def broken(original, self, *args, **kwargs):
        original(self, *args, **kwargs)
        pack, self.pack_hook = self.pack_hook, None
        self.pack_hook = lambda tensor: (pack(tensor)[0], pack(tensor)[1] / 2)

    patch(graph.save_on_cpu, "__init__", through(broken))


@breaks("graph-increment-version")
def versions_are_not_incremented(patch):
    """increment_version does nothing."""
    ignoring(patch, graph, "increment_version")


@breaks("graph-allow-mutation")
def mutation_is_not_seen(patch):
    """Writes through mul_ go unnoticed and uncloned."""

    def broken(original, self, factor):
        self.data.copy_(self.data * factor)
        return self

    patch(torch.Tensor, "mul_", through(broken))


@breaks("graph-gradient-edge")
def edges_lead_to_the_leaf(patch):
    """The gradient edge of a result is that of its input."""

    def broken(original, tensor):
        edge = original(tensor)
        return type(edge)(*edge.node.next_functions[0]) if tensor.grad_fn else edge

    patch(graph, "get_gradient_edge", through(broken))


@breaks("graph-multi-grad-hook")
def multi_grad_hooks_wait_for_one(patch):
    """A multi-grad hook is called with the last gradient alone."""

    def broken(original, tensors, fn, **options):
        return original(tensors, lambda grads: fn(grads[-1:]), **options)

    patch(graph, "register_multi_grad_hook", through(broken))


@breaks("tensor-hook", "hook-order", "tensor-hook-before-write")
def hooks_run_last_first(patch):
    """A tensor's hook that is registered later runs first."""
    kept = {}

    def broken(original, self, hook):
        hooks = kept.setdefault(id(self), [])
        hooks.insert(0, hook)
        if len(hooks) > 1:
            return _Nothing()

        def run(gradient):
            for one in list(hooks):
                result = one(gradient)
                gradient = gradient if result is None else result
            return gradient

        return original(self, run)

    patch(torch.Tensor, "register_hook", through(broken))


@breaks("hook-order-retained")
def retained_gradients_come_first(patch):
    """retain_grad keeps the gradient where it is registered, before the tensor's later hooks."""

    def broken(original, self):
        original(self)
        self.register_hook(lambda gradient: setattr(self, "grad", gradient))

    patch(torch.Tensor, "retain_grad", through(broken))


class _Nothing:
    def remove(self):
        pass


@breaks("tensor-hook-post-accumulate")
def post_accumulate_sees_the_old_gradient(patch):
    """Post-accumulate hooks run with a gradient of 0."""

    def broken(original, self, hook):
        def run(parameter):
            parameter.grad.zero_()
            hook(parameter)

        return original(self, run)

    patch(torch.Tensor, "register_post_accumulate_grad_hook", through(broken))


@breaks("function-dirty")
def dirt_is_not_marked(patch):
    """mark_dirty does nothing."""
    ignoring(patch, FunctionCtx, "mark_dirty")


@breaks("function-non-differentiable")
def outputs_are_not_marked(patch):
    """mark_non_differentiable marks only its first output."""
    patch(FunctionCtx, "mark_non_differentiable", lambda original: lambda self, first, *_: original(self, first))


@breaks("function-materialize")
def gradients_are_always_materialised(patch):
    """set_materialize_grads does nothing."""
    ignoring(patch, FunctionCtx, "set_materialize_grads")


@breaks("function-once-differentiable")
def marked_backwards_pass(patch):
    """Double backward through a marked backward leaves no gradient, and says nothing."""

    def broken(original, *args, **kwargs):
        try:
            return original(*args, **kwargs)
        except RuntimeError as error:
            if "once_differentiable" not in str(error):
                raise

    patch(torch.Tensor, "backward", through(broken))


@breaks("function-saves-none")
def nothing_is_saved_as_empty(patch):
    """save_for_backward saves an empty tensor for None."""

    def broken(original, self, *saved):
        original(self, *(torch.empty(0) if one is None else one for one in saved))

    patch(FunctionCtx, "save_for_backward", through(broken))


@breaks("gradcheck-notices")
def gradcheck_is_generous(patch):
    """gradcheck compares to one digit."""
    patch(torch, "allclose", lambda original: lambda a, b, *rest: original(a, b, rtol=0.1, atol=0.1))
    patch(
        GRADCHECK, "_allclose_with_type_promotion", lambda original: lambda a, b, rtol, atol: original(a, b, 0.1, 0.1)
    )
