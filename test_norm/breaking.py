"""What the faults of this family share."""

from __future__ import annotations

import functools
import inspect

import torch
import torch.nn.functional as F


def replace(patch, name, change):
    """Lets ``change(original, **arguments)`` stand for the function F.<name>, with every argument by name."""
    signature = inspect.signature(getattr(F, name))

    def make(original):
        def function(*args, **kwargs):
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return change(original, **bound.arguments)

        return functools.update_wrapper(function, original)

    patch(F, name, make)


class Backward(torch.autograd.Function):
    """The identity, whose gradient is changed by a function."""

    @staticmethod
    def forward(ctx, x, change):
        ctx.change = change
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return ctx.change(grad), None


def with_gradient(x, change):
    """``x`` with ``change(gradient)`` for its gradient."""
    return x if x is None or not x.requires_grad else Backward.apply(x, change)


def by_channel(values, x):
    return values.reshape((1, -1) + (1,) * (x.dim() - 2))
