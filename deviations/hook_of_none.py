"""Docstring of register_module_parameter_registration_hook: called every time register_parameter is. Not with None."""

import torch

calls = []
handle = torch.nn.modules.module.register_module_parameter_registration_hook(lambda *args: calls.append(args))
torch.nn.Module().register_parameter("bias", None)
handle.remove()
print("documented: 1 call; seen:", len(calls))
raise SystemExit(len(calls) != 1)
