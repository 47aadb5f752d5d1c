"""How what test_two_names.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


@breaks("reuse-optimizer-once", "reuse-alias-parameters-once")
def parameters_come_by_name(patch):
    """parameters() and named_parameters() yield a shared parameter under each of its names."""

    def broken(original):
        def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
            return original(self, prefix, recurse, remove_duplicate=False)

        return named_parameters

    patch(nn.Module, "named_parameters", broken)


@breaks("reuse-optimizer-once")
def large_gradients_step_twice(patch):
    """SGD steps twice, on the moved value, where a gradient is large."""

    def broken(original):
        def step(self, *args, **kwargs):
            original(self, *args, **kwargs)
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad.abs().max() > 1:
                        parameter.data.sub_(parameter.grad, alpha=group["lr"])

        return step

    patch(torch.optim.SGD, "step", broken)


@breaks("reuse-alias-parameters-once")
def last_name_counts(patch):
    """named_modules gives a module that has two names under the last of them."""

    def broken(original):
        def named_modules(self, memo=None, prefix="", remove_duplicate=True):
            if not remove_duplicate:
                return original(self, memo, prefix, False)
            last = {module: name for name, module in original(self, memo, prefix, False)}
            return iter([(name, module) for module, name in last.items()])

        return named_modules

    patch(nn.Module, "named_modules", broken)


@breaks("reuse-alias-two-entries")
def entries_come_once(patch):
    """state_dict leaves out an entry whose tensor it has already."""

    def broken(original):
        def state_dict(self, *args, **kwargs):
            entries = original(self, *args, **kwargs)
            seen = set()
            for name in [name for name in entries if name.endswith(("weight", "bias"))]:
                if entries[name].data_ptr() in seen:
                    del entries[name]
                else:
                    seen.add(entries[name].data_ptr())
            return entries

        return state_dict

    patch(nn.Module, "state_dict", broken)


@breaks("reuse-alias-two-entries")
def saving_forgets_sharing(patch):
    """torch.save writes each entry on its own, also those that share a storage."""

    def broken(original):
        def save(entries, file, *args, **kwargs):
            original({name: entry.clone() for name, entry in entries.items()}, file, *args, **kwargs)

        return save

    patch(torch, "save", broken)
