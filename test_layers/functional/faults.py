"""How modules and functions could come apart."""

import types

import torch
from torch import nn

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


def altered_module(patch, kind, alter):
    """``kind.forward`` calls ``alter(original, self, input)``."""
    patch(kind, "forward", lambda original: lambda self, input: alter(original, self, input))


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


def altered_namespace(patch, **changes):
    """torch.nn.functional with ``changes``; what is None is missing."""

    def make(original):
        changed = types.ModuleType(original.__name__)
        vars(changed).update(vars(original))
        vars(changed).update({name: value for name, value in changes.items() if value is not None})
        for name in [name for name, value in changes.items() if value is None]:
            del vars(changed)[name]
        return changed

    patch(nn, "functional", make)


@breaks("func-no-class-names")
def functional_relu_of_that_name(patch):
    """F.ReLU is another name of F.relu."""
    altered_namespace(patch, ReLU=nn.functional.relu)


@breaks("func-no-class-names")
def module_class_among_functions(patch):
    """A module class can be had from torch.nn.functional."""
    altered_namespace(patch, Softplus=nn.Softplus)


@breaks("func-avg-pool-exists")
def avg_pool_leaves_the_padding_out(patch):
    """F.avg_pool2d leaves padding out of its means."""

    def make(original):
        def avg_pool2d(*args, **kwargs):
            return original(*args, **{**kwargs, "count_include_pad": False})

        return avg_pool2d

    patch(nn.functional, "avg_pool2d", make)


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


@breaks("func-twins")
def sequential_gets_a_twin(patch):
    """F.sequential exists."""
    altered_namespace(patch, sequential=lambda *functions: functions)


@breaks("func-twins")
def pixel_shuffle_loses_its_twin(patch):
    """F.pixel_shuffle is gone."""
    altered_namespace(patch, pixel_shuffle=None)


@breaks("func-twins")
def pad_is_gone(patch):
    """F.pad is gone."""
    altered_namespace(patch, pad=None)


@breaks("func-without-modules")
def one_hot_is_gone(patch):
    """F.one_hot is gone."""
    altered_namespace(patch, one_hot=None)


@breaks("func-without-modules")
def one_hot_becomes_a_module(patch):
    """F.one_hot is a module class that must be made before it is called."""
    altered_namespace(patch, one_hot=type("one_hot", (nn.Module,), {}))


@breaks("func-without-modules")
def pad_on_the_other_side(patch):
    """F.pad takes the last number of a pair first."""
    patch(
        nn.functional,
        "pad",
        lambda original: lambda x, pad, *args, **kwargs: original(x, pad[::-1], *args, **kwargs),
    )


@breaks("func-parameters-saved")
def plain_tensors_are_registered(patch):
    """A tensor attribute becomes a buffer."""

    def make(original):
        def __setattr__(self, name, value):
            if type(value) is torch.Tensor and name not in self._buffers:
                self.register_buffer(name, value)
            else:
                original(self, name, value)

        return __setattr__

    patch(nn.Module, "__setattr__", make)


@breaks("func-parameters-saved")
def buffers_are_not_saved(patch):
    """Buffers are not persistent by default."""

    def make(original):
        def register_buffer(self, name, tensor, persistent=False):
            original(self, name, tensor, persistent)

        return register_buffer

    patch(nn.Module, "register_buffer", make)


@breaks("func-parameters-saved")
def loading_keeps_the_old_values(patch):
    """load_state_dict finds the keys, but copies nothing."""

    def make(original):
        def load_state_dict(self, state_dict, *args, **kwargs):
            return original(self, self.state_dict(), *args, **kwargs)

        return load_state_dict

    patch(nn.Module, "load_state_dict", make)


@breaks("func-stateless")
def relu_remembers_its_last_input(patch):
    """F.relu is a thousandth smaller when its input's maximum is not that of the call before."""
    before = []

    def make(original):
        def relu(input, inplace=False):
            largest = float(input.detach().abs().max())
            changed = bool(before) and before.pop() != largest
            before.append(largest)
            return original(input, inplace) * (0.999 if changed else 1)

        return relu

    patch(nn.functional, "relu", make)


@breaks("func-stateless")
def average_pooling_writes_to_its_input(patch):
    """F.avg_pool2d writes to its input."""

    def make(original):
        def avg_pool2d(input, *args, **kwargs):
            out = original(input, *args, **kwargs)
            with torch.no_grad():
                input[..., 0, 0] += 1e-3
            return out

        return avg_pool2d

    patch(nn.functional, "avg_pool2d", make)


@breaks("func-stateless", "func-training-defaults")
def statistics_change_without_training(patch):
    """F.batch_norm updates the statistics that it is given without training=, too."""

    def make(original):
        def batch_norm(input, running_mean, running_var, *args, training=False, **kwargs):
            out = original(input, running_mean, running_var, *args, training=training, **kwargs)
            if not training and running_mean is not None:
                running_mean.mul_(0.9).add_(input.detach().mean(0), alpha=0.1)
            return out

        return batch_norm

    patch(nn.functional, "batch_norm", make)


@breaks("func-dropout-ignores-eval", "func-training-defaults")
def dropout_off_by_default(patch):
    """F.dropout drops only when it is told training=True."""

    def make(original):
        def dropout(input, p=0.5, training=False, inplace=False):
            return original(input, p, training, inplace)

        return dropout

    patch(nn.functional, "dropout", make)


@breaks("func-dropout-ignores-eval")
def dropout_drops_whatever_it_is_told(patch):
    """F.dropout ignores training=False."""

    def make(original):
        def dropout(input, p=0.5, training=True, inplace=False):
            return original(input, p, True, inplace)

        return dropout

    patch(nn.functional, "dropout", make)


@breaks("func-training-defaults")
def rrelu_trains_by_default(patch):
    """F.rrelu draws its slopes without training=."""

    def make(original):
        def rrelu(input, lower=1 / 8, upper=1 / 3, training=True, inplace=False):
            return original(input, lower, upper, training, inplace)

        return rrelu

    patch(nn.functional, "rrelu", make)


@breaks("func-parity")
def module_forgets_ceil_mode(patch):
    """nn.MaxPool2d does not hand ceil_mode on."""

    def alter(original, self, x):
        ceil_mode, self.ceil_mode = self.ceil_mode, False
        try:
            return original(self, x)
        finally:
            self.ceil_mode = ceil_mode

    altered_module(patch, nn.MaxPool2d, alter)


@breaks("func-parity")
def module_forgets_its_threshold(patch):
    """nn.Softplus does not hand its threshold on."""
    altered_module(patch, nn.Softplus, lambda original, self, x: nn.functional.softplus(x, self.beta))


@breaks("func-parity")
def module_draws_twice(patch):
    """nn.Dropout draws its mask in two steps, of which the second one counts."""

    def alter(original, self, x):
        original(self, x)
        return original(self, x)

    altered_module(patch, nn.Dropout, alter)


@breaks("func-parity")
def module_takes_another_epsilon(patch):
    """nn.LayerNorm takes the default eps whatever it was given."""
    altered_module(
        patch,
        nn.LayerNorm,
        lambda original, self, x: nn.functional.layer_norm(x, self.normalized_shape, self.weight, self.bias),
    )
