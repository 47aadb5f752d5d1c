"""How containers are changed."""

from collections import OrderedDict


def through(change):
    """A method that goes through ``change(original, self, *args)``."""

    def make(original):
        def method(self, *args, **kwargs):
            return change(original, self, *args, **kwargs)

        return method

    return make


def renamed(container, names):
    container._modules = OrderedDict(zip(names, container._modules.values(), strict=True))
