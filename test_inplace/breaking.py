"""What several of the room's faults share."""

import torch


def wants_grad(tensor):
    return torch.is_grad_enabled() and tensor.requires_grad


def through(change):
    """A method or function whose arguments or result pass through ``change(original, *args, **kwargs)``."""
    return lambda original: lambda *args, **kwargs: change(original, *args, **kwargs)


def saving_function(forward, backward, saved):
    """A differentiable function of one tensor that saves ``saved(x, y)`` for ``backward``."""

    class Saving(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = forward(x)
            ctx.save_for_backward(saved(x, y))
            return y

        @staticmethod
        def backward(ctx, gradient):
            return backward(ctx.saved_tensors[0], gradient)

    return lambda x, *_, **__: Saving.apply(x)
