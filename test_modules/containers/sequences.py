"""What the containers' tests share: modules to hold, and what a container must hold."""

from collections import OrderedDict

from torch import nn

SLICES = [slice(0, 2), slice(None, None, 2), slice(-2, None), slice(None), slice(3, 1), slice(None, None, -1), slice(9)]
PLACES = [*range(-4, 4), *SLICES]


def layers(count):
    """``count`` modules of different types, so that a failure shows which is where."""
    return [kind() for kind in (nn.ReLU, nn.Tanh, nn.ELU, nn.SELU, nn.GELU, nn.Sigmoid, nn.CELU, nn.SiLU)[:count]]


def holds(container, expected):
    """Whether the container's children are ``expected``, numbered from zero, by every way to see them."""
    children = [pair for pair in container.named_modules(remove_duplicate=False) if pair[0] and "." not in pair[0]]
    return (
        children == [(str(place), one) for place, one in enumerate(expected)]
        and list(container) == expected
        and len(container) == len(expected)
        and all(container[place] is one for place, one in enumerate(expected))
    )


def named(*names):
    return nn.Sequential(OrderedDict(zip(names, layers(len(names)), strict=True)))


def attempt(function):
    """What a call raised, as text, or nothing."""
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"
