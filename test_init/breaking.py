"""What several of the room's faults share."""

import torch
from torch import nn

CONVOLUTION = nn.modules.conv._ConvNd


KAIMING = ("init-kaiming-uniform", "init-kaiming-normal")


XAVIER = ("init-xavier-uniform", "init-xavier-normal")


def then(change):
    """Makes a replacement that calls the original and then ``change(tensor)`` without a record."""

    def make(original):
        def broken(tensor, *args, **kwargs):
            result = original(tensor, *args, **kwargs)
            with torch.no_grad():
                change(tensor)
            return result

        return broken

    return make


def with_options(**changed):
    """Makes a replacement with other keyword arguments, each a function of the given one or None."""

    def make(original):
        def broken(tensor, *args, **kwargs):
            replaced = {name: change(kwargs.get(name)) for name, change in changed.items()}
            return original(tensor, *args, **{**kwargs, **replaced})

        return broken

    return make
