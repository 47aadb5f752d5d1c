"""Docstring of torch.nn.ParameterList: can be used like a regular Python list. It lacks most of what a list has."""

import torch

held = torch.nn.ParameterList([torch.zeros(1), torch.ones(1)])
missing = [name for name in ("__delitem__", "__add__", "pop", "insert", "index", "count") if not hasattr(held, name)]
print("documented: as a list; seen: it has no", ", ".join(missing))
try:
    held[0] = 5
except TypeError as error:
    print("documented: any object can be assigned; seen:", error)
    missing.append("assignment")
raise SystemExit(bool(missing))
