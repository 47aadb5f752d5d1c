"""How what test_memory.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


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


@breaks("memory-saved-stays", "memory-rebind")
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
