"""Docstring of torch.nn.modules.module.register_module_forward_hook: always_call, here with with_kwargs=True."""

from torch import nn
from torch.nn.modules.module import register_module_forward_hook

calls = []


def hook(module, args, kwargs, output):
    calls.append((args, kwargs, output))


print("documented: with always_call=True the hook runs regardless of whether an exception is raised")
with register_module_forward_hook(hook, with_kwargs=True, always_call=True):
    try:
        nn.Identity()(1, 2)
    except TypeError as error:
        print("the module raised:", error)
print("seen:       the hook ran", len(calls), "times")
raise SystemExit(len(calls) != 1)
