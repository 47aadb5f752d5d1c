"""How what test_values.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


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
