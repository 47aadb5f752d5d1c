"""How what test_article.py decides could be broken."""

import torch
from torch import nn

from test_layers.functional.breaking import altered_module
from torchclaims import breaks


@breaks("func-article-code-runs")
def a_call_returns_the_last_output(patch):
    """Where forward returns nothing, a call returns what its last child returned."""

    def make(original):
        def __call__(self, *args, **kwargs):
            out = original(self, *args, **kwargs)
            if out is None:
                for child in self.children():
                    out = original(child, *args, **kwargs)
            return out

        return __call__

    patch(nn.Module, "__call__", make)


@breaks("func-stems-agree", "func-parity", "func-module-needs-no-container")
def relu_module_leaks(patch):
    """nn.ReLU lets a thousandth of what is negative through; F.relu does not."""
    altered_module(patch, nn.ReLU, lambda original, self, x: torch.where(x < 0, 1e-3 * x, x))


@breaks("func-stems-agree")
def relu_module_weakens_the_gradient(patch):
    """The gradient through nn.ReLU loses a hundredth."""

    def alter(original, self, x):
        out = original(self, x)
        return out.detach() + (out - out.detach()) * 0.99

    altered_module(patch, nn.ReLU, alter)


@breaks("func-stems-agree")
def relu_module_has_state(patch):
    """nn.ReLU registers a buffer, which its state_dict holds."""

    def make(original):
        def __init__(self, inplace=False):
            original(self, inplace)
            self.register_buffer("slope", torch.zeros(()))

        return __init__

    patch(nn.ReLU, "__init__", make)


@breaks("func-module-needs-no-container")
def relu_waits_for_a_container(patch):
    """nn.ReLU does nothing until a container holds it."""

    def make_add(original):
        def add_module(self, name, module):
            original(self, name, module)
            if isinstance(module, nn.ReLU):
                module.held = True

        return add_module

    patch(nn.Module, "add_module", make_add)
    altered_module(patch, nn.ReLU, lambda original, self, x: original(self, x) if hasattr(self, "held") else x)


@breaks("func-function-is-no-layer")
def functions_become_layers(patch):
    """A container wraps a function in a module and takes it."""

    class Wrapped(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

    def make(original):
        def add_module(self, name, module):
            original(self, name, module if isinstance(module, nn.Module) or module is None else Wrapped(module))

        return add_module

    patch(nn.Module, "add_module", make)


@breaks("func-function-is-no-layer")
def refused_function_leaves_a_trace(patch):
    """A refused function leaves an empty child behind."""

    def make(original):
        def add_module(self, name, module):
            if not isinstance(module, nn.Module) and module is not None:
                original(self, name, None)
            original(self, name, module)

        return add_module

    patch(nn.Module, "add_module", make)
