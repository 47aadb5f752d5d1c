"""What the rooms of the losses share: reductions, shapes, and how a loss is broken."""

import numpy as np
import pytest
import torch

from torchclaims.comparison import LAYOUTS, laid_out

REDUCTIONS = ("none", "mean", "sum")

# One element, vectors' ends, one column, nothing.
SHAPES = {
    "scalar": (),
    "one": (1,),
    "vector": (17,),
    "matrix": (3, 5),
    "column": (9, 1),
    "five axes": (2, 1, 3, 2, 2),
    "empty": (0, 3),
}
# Where a reduction has a case of its own.
EDGES = ("scalar", "empty")
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


def normal(cell, rng, shape, layout="plain", scale=1.0, requires_grad=True):
    """A tensor of normal values."""
    return laid_out(cell, scale * rng.normal(size=shape), layout, requires_grad=requires_grad)


def signs(cell, rng, shape):
    """A tensor of 1 and -1, both there where there is room."""
    values = np.where(np.arange(int(np.prod(shape))) % 2, 1.0, -1.0)
    return cell.tensor(rng.permutation(values).reshape(shape))


def odd_sixteenths(cell, rng, shape):
    """Values that no hinge with a margin in quarters bends at, exact in every dtype as are their sums."""
    return cell.tensor((2 * rng.integers(-24, 24, shape) + 1) / 16, requires_grad=True)


def eighths(cell, rng, shape):
    """Values whose differences from odd sixteenths are odd sixteenths."""
    return cell.tensor(rng.integers(-24, 24, shape) / 8, requires_grad=True)


def reduced(losses, reduction):
    """What a loss makes of ``losses``."""
    return {"none": losses, "mean": losses.mean(), "sum": losses.sum()}[reduction]


def altered(patch, owner, name, alter):
    """``owner.name`` returns ``alter(result, *args, **kwargs)`` of what it returned."""

    def make(original):
        def function(*args, **kwargs):
            return alter(original(*args, **kwargs), *args, **kwargs)

        return function

    patch(owner, name, make)


def called_with(patch, owner, name, change):
    """``owner.name`` is called with what ``change(*args, **kwargs)`` returns, arguments and keywords."""

    def make(original):
        def function(*args, **kwargs):
            args, kwargs = change(*args, **kwargs)
            return original(*args, **kwargs)

        return function

    patch(owner, name, make)


def regraded(tensor, factor):
    """``tensor`` itself, whose gradient is multiplied by ``factor``."""
    return tensor.detach() + (tensor - tensor.detach()) * factor


def with_option(patch, module, **options):
    """The module's forward runs with other values of its attributes."""

    def make(original):
        def forward(self, *args):
            before = {name: getattr(self, name) for name in options}
            for name, value in options.items():
                setattr(self, name, value(before[name]) if callable(value) else value)
            try:
                return original(self, *args)
            finally:
                for name, value in before.items():
                    setattr(self, name, value)

        return forward

    patch(module, "forward", make)


def tail_not_done(result, size):
    """What is left over after whole vectors of eight is left as it was: zero."""
    flat = result.flatten()
    done = flat.numel() // size * size
    return torch.cat([flat[:done], 0 * flat[done:]]).view(result.shape)
