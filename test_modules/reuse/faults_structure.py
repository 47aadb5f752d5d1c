"""How what test_structure.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


@breaks("reuse-size-unchanged", "reuse-bn-entries")
def normalisation_keeps_its_input_as_a_buffer(patch):
    """BatchNorm2d keeps the mean of each input that it was called with as one more buffer."""

    def broken(original):
        def forward(self, x):
            self.register_buffer(f"last_{int(self.num_batches_tracked)}", x.detach().mean())
            return original(self, x)

        return forward

    patch(nn.BatchNorm2d, "forward", broken)


@breaks("reuse-size-unchanged", "reuse-relu-stateless")
def activation_has_a_buffer(patch):
    """ReLU registers its threshold as a buffer."""

    def broken(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.register_buffer("threshold", torch.zeros(()))

        return __init__

    patch(nn.ReLU, "__init__", broken)


@breaks("reuse-bn-entries")
def counter_is_not_persistent(patch):
    """num_batches_tracked is a buffer that state_dict leaves out."""

    def broken(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.register_buffer("num_batches_tracked", self.num_batches_tracked, persistent=False)

        return __init__

    patch(nn.BatchNorm2d, "__init__", broken)


@breaks("reuse-structure-static")
def print_shows_the_batches_seen(patch):
    """BatchNorm2d prints how many batches it has seen."""

    def broken(original):
        return lambda self: f"{original(self)}, num_batches_tracked={int(self.num_batches_tracked)}"

    patch(nn.BatchNorm2d, "extra_repr", broken)


@breaks("reuse-structure-static")
def print_leaves_out_what_has_no_state(patch):
    """print leaves out children without parameters."""

    def broken(original):
        def representation(self):
            lines = original(self).splitlines()
            return "\n".join(line for line in lines if "ReLU" not in line)

        return representation

    patch(nn.Module, "__repr__", broken)


@breaks("reuse-keys-index-children", "reuse-dataparallel-prefix")
def containers_count_from_one(patch):
    """Sequential numbers its children from one."""

    def broken(original):
        def __init__(self, *modules):
            original(self)
            for number, module in enumerate(modules, start=1):
                self.add_module(str(number), module)

        return __init__

    patch(nn.Sequential, "__init__", broken)


@breaks("reuse-dataparallel-prefix")
def data_parallel_hides_its_prefix(patch):
    """DataParallel gives the entries of the module that it holds."""

    def broken(original):
        return lambda self, *args, **kwargs: self.module.state_dict(*args, **kwargs)

    patch(nn.DataParallel, "state_dict", broken)


@breaks("reuse-new-layer-counts")
def equal_modules_are_interned(patch):
    """Of two modules that print alike only one is registered, under both names."""

    def broken(original):
        def __setattr__(self, name, value):
            if isinstance(value, nn.Module):
                value = next((one for one in self.children() if repr(one) == repr(value)), value)
            original(self, name, value)

        return __setattr__

    patch(nn.Module, "__setattr__", broken)


@breaks("reuse-structure-static")
def print_shows_each_module_once(patch):
    """print leaves out a child that it has shown under another name."""

    def broken(original):
        def __repr__(self):
            every = self._modules
            self._modules = type(every)(self.named_children())
            try:
                return original(self)
            finally:
                self._modules = every

        return __repr__

    patch(nn.Module, "__repr__", broken)
