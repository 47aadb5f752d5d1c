"""How what test_state.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


@breaks("func-avg-pool-exists")
def avg_pool_leaves_the_padding_out(patch):
    """F.avg_pool2d leaves padding out of its means."""

    def make(original):
        def avg_pool2d(*args, **kwargs):
            return original(*args, **{**kwargs, "count_include_pad": False})

        return avg_pool2d

    patch(nn.functional, "avg_pool2d", make)


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
