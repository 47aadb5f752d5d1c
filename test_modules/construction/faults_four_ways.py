"""How what test_four_ways.py decides could be broken."""

import difflib
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import breaks


@breaks("build-ways-agree", "build-functional-equal")
def relu_module_clips_at_six(patch):
    """nn.ReLU clips at six, F.relu does not."""

    def broken(original):
        return lambda self, x: F.relu6(x)

    patch(nn.ReLU, "forward", broken)


@breaks("build-functional-equal")
def relu_module_hides_nan(patch):
    """nn.ReLU makes zero of NaN, F.relu keeps it."""

    def broken(original):
        return lambda self, x: original(self, torch.where(x.isnan(), torch.zeros_like(x), x))

    patch(nn.ReLU, "forward", broken)


@breaks("build-functional-equal")
def relu_module_passes_gradient_at_zero(patch):
    """The gradient of nn.ReLU goes through at zero."""

    def broken(original):
        return lambda self, x: torch.where(x < 0, torch.zeros_like(x), x)

    patch(nn.ReLU, "forward", broken)


@breaks("build-functional-equal")
def pool_module_forgets_dilation(patch):
    """nn.MaxPool2d does not hand on its dilation."""

    def broken(original):
        return lambda self, x: F.max_pool2d(x, self.kernel_size, self.stride, self.padding, 1, self.ceil_mode)

    patch(nn.MaxPool2d, "forward", broken)


@breaks("build-ways-agree")
def sequential_joins_linear_layers(patch):
    """Sequential leaves out a ReLU between linear layers."""

    def broken(original):
        def forward(self, x):
            for module in self:
                if not (isinstance(module, nn.ReLU) and x.dim() == 2):
                    x = module(x)
            return x

        return forward

    patch(nn.Sequential, "forward", broken)


@breaks("build-same-initialisation")
def sequential_draws_again(patch):
    """Sequential resets the parameters of the layers that it is given."""

    def broken(original):
        def __init__(self, *args):
            original(self, *args)
            for module in self:
                if isinstance(module, nn.Linear):
                    module.reset_parameters()

        return __init__

    patch(nn.Sequential, "__init__", broken)


@breaks("build-same-initialisation")
def registration_draws_a_number(patch):
    """add_module advances the random generator."""

    def broken(original):
        def add_module(self, name, module):
            torch.rand(1)
            original(self, name, module)

        return add_module

    patch(nn.Module, "add_module", broken)


@breaks("build-wrong-attribute-fails")
def closest_attribute_answers(patch):
    """A missing attribute gives the registered module of the most similar name, in the module or below."""

    def broken(original):
        def __getattr__(self, name):
            try:
                return original(self, name)
            except AttributeError:
                below = {path.rpartition(".")[2]: one for path, one in self.named_modules() if path}
                close = difflib.get_close_matches(name, below, 1)
                if not close:
                    raise
                return below[close[0]]

        return __getattr__

    patch(nn.Module, "__getattr__", broken)


@breaks("build-wrong-attribute-fails")
def missing_attribute_does_not_say_of_what(patch):
    """The AttributeError speaks of a Module instead of the class."""

    def broken(original):
        def __getattr__(self, name):
            try:
                return original(self, name)
            except AttributeError:
                raise AttributeError(f"'Module' object has no attribute '{name}'") from None

        return __getattr__

    patch(nn.Module, "__getattr__", broken)


@breaks("build-print-needs-no-forward")
def print_sorts_by_name(patch):
    """print shows children in the order of their names."""

    def broken(original):
        def representation(self):
            ordered = self._modules
            self.__dict__["_modules"] = OrderedDict(sorted(ordered.items()))
            try:
                return original(self)
            finally:
                self.__dict__["_modules"] = ordered

        return representation

    patch(nn.Module, "__repr__", broken)


@breaks("build-functions-leave-no-trace")
def functional_relu_registers_a_module(patch):
    """The first F.relu that a module calls stays registered with it, as a trace would record it."""
    running = []

    def calling(original):
        def call(self, *args, **kwargs):
            running.append(self)
            try:
                return original(self, *args, **kwargs)
            finally:
                running.pop()

        return call

    def recording(original):
        def relu(x, inplace=False):
            if running and not isinstance(running[-1], nn.ReLU):
                running[-1].add_module("relu", nn.ReLU())
            return original(x, inplace)

        return relu

    patch(nn.Module, "__call__", calling)
    patch(F, "relu", recording)


@breaks("build-functions-leave-no-trace")
def modules_leaves_out_what_has_no_state(patch):
    """modules() passes over children without parameters."""

    def broken(original):
        return lambda self: (one for one in original(self) if any(True for _ in one.parameters()))

    patch(nn.Module, "modules", broken)


@breaks("build-linear-fixes-size")
def linear_ignores_further_features(patch):
    """linear takes the first features of an input that has too many."""

    def broken(original):
        return lambda x, weight, bias=None: original(x[..., : weight.size(1)], weight, bias)

    patch(F, "linear", broken)


@breaks("build-linear-fixes-size")
def pooling_rounds_up(patch):
    """Pooling keeps a window that is cut off by the edge, as with ceil_mode."""

    def broken(original):
        def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, **kwargs):
            return original(x, kernel_size, stride, padding, dilation, True, **kwargs)

        return max_pool2d

    patch(F, "max_pool2d", broken)
