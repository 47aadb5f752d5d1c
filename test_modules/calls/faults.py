"""How calls could be broken."""

import torch
from torch import nn
from torch.nn import functional as F

from torchclaims import breaks

# --- values and gradients


def _with_gradient(value, source, change):
    """``value``, whose gradient reaches ``source`` changed."""

    class Changed(torch.autograd.Function):
        @staticmethod
        def forward(ctx, source):
            return value.detach().clone()

        @staticmethod
        def backward(ctx, grad):
            return change(grad)

    return Changed.apply(source)


@breaks("module-own-linear", "module-perceptron", "module-no-backward-needed")
def products_are_taken_in_bfloat16(patch):
    """mm rounds its operands to bfloat16, as a fast path that nobody asked for."""

    def rounding(original):
        def mm(self, other):
            return original(self.to(torch.bfloat16), other.to(torch.bfloat16)).to(self.dtype)

        return mm

    patch(torch.Tensor, "mm", rounding)


@breaks("module-own-linear")
def bias_runs_along_the_rows_of_a_square(patch):
    """Where there are as many rows as columns, a vector is added along the rows."""

    def along_rows(original):
        def __add__(self, other):
            square = torch.is_tensor(other) and other.dim() == 1 and self.dim() == 2 and self.shape == other.shape * 2
            return original(self, other[:, None] if square else other)

        return __add__

    patch(torch.Tensor, "__add__", along_rows)


@breaks("module-perceptron")
def sigmoid_is_approximated(patch):
    """sigmoid is computed in half precision."""
    patch(torch, "sigmoid", lambda original: lambda x: original(x.to(torch.bfloat16)).to(x.dtype))


@breaks("module-perceptron")
def sigmoids_slope_lacks_a_factor(patch):
    """The gradient of sigmoid is y instead of y (1 - y)."""

    def sloping(original):
        def sigmoid(x):
            y = original(x)
            return _with_gradient(y, x, lambda grad: grad * y.detach()) if y.requires_grad else y

        return sigmoid

    patch(torch, "sigmoid", sloping)


@breaks("module-no-backward-needed", "module-backward-never-called")
def gradient_of_the_input_is_dropped(patch):
    """mm passes no gradient to its first operand where the second is a leaf."""

    def dropping(original):
        def mm(self, other):
            return original(self.detach() if other.is_leaf and other.requires_grad else self, other)

        return mm

    patch(torch.Tensor, "mm", dropping)


@breaks("module-no-backward-needed")
def gradient_of_a_stretched_vector_is_the_mean(patch):
    """The gradient of what was stretched over rows is their mean instead of their sum."""

    def averaging(original):
        def __add__(self, other):
            if torch.is_tensor(other) and other.dim() < self.dim():
                rows = self.shape[0]
                other = other.detach() + _with_gradient(torch.zeros_like(other), other, lambda grad: grad / rows)
            return original(self, other)

        return __add__

    patch(torch.Tensor, "__add__", averaging)


@breaks("module-backward-never-called")
def a_modules_backward_is_called(patch):
    """A method called backward is called with the gradient of the output."""

    def calling(original):
        def __call__(self, *args, **kwargs):
            output = original(self, *args, **kwargs)
            if hasattr(self, "backward") and output.requires_grad:
                output.register_hook(lambda grad: self.backward(grad))
            return output

        return __call__

    patch(nn.Module, "__call__", calling)


@breaks("module-backward-never-called")
def a_function_passes_the_gradient_through(patch):
    """A Function without backward passes a zero gradient to each input."""

    def passing(original):
        def backward(ctx, grad):
            return (*(torch.zeros_like(one) for one in ctx.saved_tensors), None)

        return backward

    patch(torch.autograd.Function, "backward", passing)


def _leaves(output):
    """The leaves that ``output`` depends on."""
    nodes = [output.grad_fn]
    for node in nodes:
        nodes += [following for following, _ in node.next_functions if following and following not in nodes]
    return [node.variable for node in nodes if hasattr(node, "variable")]


@breaks("grad-accumulate", "saved-freed")
def gradient_replaces_the_one_before(patch):
    """backward replaces the gradients that are there."""

    def replacing(original):
        def backward(self, *args, **kwargs):
            for leaf in _leaves(self):
                leaf.grad = None
            original(self, *args, **kwargs)

        return backward

    patch(torch.Tensor, "backward", replacing)


@breaks("grad-accumulate")
def gradients_are_added_in_a_new_tensor(patch):
    """Adding to a gradient makes a new tensor, and one that was handed out stays as it was."""

    def renewing(original):
        def backward(self, *args, **kwargs):
            for leaf in _leaves(self):
                leaf.grad = None if leaf.grad is None else leaf.grad.clone()
            original(self, *args, **kwargs)

        return backward

    patch(torch.Tensor, "backward", renewing)


@breaks("graph-recreated", "mode-eval-not-nograd")
def outputs_are_kept_for_the_same_input(patch):
    """A module called again with the same tensor returns its last output; evaluation records nothing."""

    def remembering(original):
        def __call__(self, x, *args, **kwargs):
            if self.__dict__.get("_seen", (None,))[0] is x:
                return self._seen[1]
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.training):
                output = original(self, x, *args, **kwargs)
            self.__dict__["_seen"] = (x, output)
            return output

        return __call__

    patch(nn.Module, "__call__", remembering)


@breaks("mode-eval-not-nograd")
def eval_freezes(patch):
    """eval() freezes the parameters."""
    patch(nn.Module, "eval", lambda original: lambda self: original(self).requires_grad_(False))


@breaks("grad-nonleaf")
def retained_gradient_is_the_first_rows(patch):
    """retain_grad keeps the gradient of the first row for all."""

    def first_row(original):
        def retain_grad(self):
            self.register_hook(lambda grad: grad[:1].expand_as(grad))
            original(self)

        return retain_grad

    patch(torch.Tensor, "retain_grad", first_row)


@breaks("grad-nonleaf")
def every_gradient_is_retained(patch):
    """sigmoid retains the gradient of its result without being asked."""

    def retaining(original):
        def sigmoid(x):
            y = original(x)
            y.retain_grad()
            return y

        return sigmoid

    patch(torch, "sigmoid", retaining)


# --- calling


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


@breaks("module-numpy-detour")
def numpy_detaches(patch):
    """numpy() detaches by itself."""
    patch(torch.Tensor, "numpy", lambda original: lambda self, **kwargs: original(self.detach(), **kwargs))


@breaks("module-numpy-detour")
def backward_without_history_does_nothing(patch):
    """backward of what does not require a gradient returns in silence."""

    def silent(original):
        def backward(self, *args, **kwargs):
            if self.requires_grad:
                original(self, *args, **kwargs)

        return backward

    patch(torch.Tensor, "backward", silent)


@breaks("module-numpy-detour")
def parameters_before_a_cut_get_zeros(patch):
    """A module's parameters that the loss does not reach get a gradient of zeros from its call."""

    def zeroing(original):
        def __call__(self, *args, **kwargs):
            output = original(self, *args, **kwargs)
            for parameter in self.parameters():
                if torch.is_tensor(output) and parameter.grad is None and parameter.requires_grad:
                    parameter.grad = torch.zeros_like(parameter)
            return output

        return __call__

    patch(nn.Module, "__call__", zeroing)


@breaks("module-forward-missing")
def forward_is_the_identity(patch):
    """A module without forward returns what it is given."""
    patch(nn.Module, "forward", lambda original: lambda self, *args: args)


# --- hooks


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


# --- what is kept for the backward pass


@breaks("memory-rebind", "memory-nograd", "memory-graph-owns")
def modules_hold_their_last_output(patch):
    """A module holds a reference to its last output."""

    def holding(original):
        def __call__(self, *args, **kwargs):
            self.__dict__["_last"] = original(self, *args, **kwargs)
            return self.__dict__["_last"]

        return __call__

    def holding_sigmoid(original):
        def sigmoid(x):
            held[:] = [original(x)]
            return held[0]

        return sigmoid

    held = []
    patch(nn.Module, "__call__", holding)
    patch(torch, "sigmoid", holding_sigmoid)


@breaks("memory-rebind")
def tanh_saves_its_input(patch):
    """tanh computes a term that vanishes, for which autograd saves the input."""
    patch(torch, "tanh", lambda original: lambda x: original(x) + 0 * x**2)


@breaks("memory-saved-stays")
def products_save_a_copy(patch):
    """mm saves a copy of its first operand."""
    patch(torch.Tensor, "mm", lambda original: lambda self, other: original(self.clone(), other))


@breaks("memory-saved-stays")
def sigmoid_saves_a_copy(patch):
    """sigmoid saves a copy of its result."""

    class Sigmoid(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx._saved_result = x.detach().neg().exp().add(1).reciprocal()
            return ctx._saved_result.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx._saved_result * (1 - ctx._saved_result)

    patch(torch, "sigmoid", lambda original: lambda x: Sigmoid.apply(x))


@breaks("memory-graph-owns", "saved-freed")
def backward_retains_the_graph(patch):
    """backward keeps what was saved, whatever it is told."""

    def retaining(original):
        def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
            original(self, gradient, True, create_graph, inputs)

        return backward

    patch(torch.Tensor, "backward", retaining)


@breaks("memory-graph-owns")
def graph_is_held_in_a_cycle(patch):
    """The output of mm refers to itself, so that only the collector of cycles can let it go."""

    def cyclic(original):
        def mm(self, other):
            output = original(self, other)
            output.held = (output, self)
            return output

        return mm

    patch(torch.Tensor, "mm", cyclic)


@breaks("memory-nograd")
def no_grad_still_records(patch):
    """no_grad does not turn recording off."""
    patch(
        torch.no_grad,
        "__enter__",
        lambda original: lambda self: setattr(self, "prev", torch.is_grad_enabled()),
    )


# --- the residual block


def _conv2d(change):
    """Makes a conv2d that is given ``change(input, weight, bias, stride, padding)``."""

    def make(original):
        def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
            return original(*change(input, weight, bias, stride, padding), dilation, groups)

        return conv2d

    return make


@breaks("module-residual-block", "module-residual-stride-twice", "module-residual-parameters")
def stride_is_ignored_across(patch):
    """conv2d strides along the height only."""
    patch(F, "conv2d", _conv2d(lambda x, w, b, stride, padding: (x, w, b, (stride[0], 1), padding)))


@breaks("module-residual-block")
def relu_ends_at_six(patch):
    """relu is relu6."""
    patch(F, "relu", lambda original: lambda input, inplace=False: original(input).clamp(max=6))


@breaks("module-residual-block")
def kernel_is_flipped(patch):
    """conv2d is a convolution in the strict sense: the kernel is flipped."""
    patch(F, "conv2d", _conv2d(lambda x, w, b, stride, padding: (x, w.flip(2, 3), b, stride, padding)))


@breaks("module-residual-block")
def normalisation_forgets_the_root(patch):
    """batch_norm divides by the variance instead of its root."""

    def squared(original):
        def batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps):
            return original(input, running_mean, running_var**2, weight, bias, training, momentum, eps)

        return batch_norm

    patch(F, "batch_norm", squared)


def _addition(change):
    """Makes an addition of ``change(self, other)`` where both are tensors of different shapes."""

    def make(original):
        def __add__(self, other):
            if torch.is_tensor(other) and self.shape != other.shape:
                self, other = change(self, other)
            return original(self, other)

        return __add__

    return make


@breaks("module-residual-block")
def channels_in_excess_are_cut(patch):
    """An addition cuts to the channels that both have."""

    def cut(left, right):
        count = min(left.shape[1], right.shape[1])
        return left[:, :count], right[:, :count]

    patch(torch.Tensor, "__add__", _addition(cut))


@breaks("module-residual-stride-twice")
def one_pixel_is_padded(patch):
    """A single pixel is padded with zeros instead of being stretched."""

    def padded(left, right):
        if left.dim() == 4 and right.shape[2:] == (1, 1):
            right = F.pad(right, (0, left.shape[3] - 1, 0, left.shape[2] - 1))
        return left, right

    patch(torch.Tensor, "__add__", _addition(padded))


@breaks("module-residual-stride-twice")
def one_channel_goes_to_the_first(patch):
    """A single channel is added to the first channel only."""

    def first(left, right):
        if left.dim() == 4 and left.shape[1] == 1:
            left = F.pad(left, (0, 0, 0, 0, 0, right.shape[1] - 1))
        return left, right

    patch(torch.Tensor, "__add__", _addition(first))


@breaks("module-residual-parameters")
def transposed_weights(patch):
    """Conv2d keeps its weight with the channels swapped."""

    def transposed(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.weight = nn.Parameter(self.weight.transpose(0, 1))

        return __init__

    def back(original):
        def forward(self, input):
            return self._conv_forward(input, self.weight.transpose(0, 1), self.bias)

        return forward

    patch(nn.Conv2d, "__init__", transposed)
    patch(nn.Conv2d, "forward", back)


@breaks("bcast-rules")
def vectors_are_aligned_at_the_first_dimension(patch):
    """A vector that fits a square runs along its first dimension."""

    def first(left, right):
        square = right.dim() == 1 and left.dim() == 2 and left.shape == right.shape * 2
        return left, right[:, None] if square else right

    patch(torch.Tensor, "__add__", _addition(first))


@breaks("bcast-rules")
def sizes_that_divide_are_repeated(patch):
    """A size that divides the other is repeated."""

    def repeated(left, right):
        if left.dim() == right.dim() == 1 and right.numel() > 1 and left.numel() % right.numel() == 0:
            right = right.repeat(left.numel() // right.numel())
        return left, right

    patch(torch.Tensor, "__add__", _addition(repeated))


@breaks("bcast-rules")
def sizes_are_named_in_the_wrong_order(patch):
    """The error names the sizes of b as those of a."""

    def swapped(original):
        def __add__(self, other):
            try:
                return original(self, other)
            except RuntimeError:
                return original(other, self)

        return __add__

    patch(torch.Tensor, "__add__", swapped)
