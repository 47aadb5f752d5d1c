"""How what test_autograd.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


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
