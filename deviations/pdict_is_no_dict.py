"""Docstring of torch.nn.ParameterDict: indexed like a dictionary, which holds any object. Keys are attributes."""

import torch

held, differences = torch.nn.ParameterDict({"a": torch.zeros(1)}), 0
for what, use in {
    "KeyError for a missing key": lambda: held["missing"],
    "KeyError for a name that is no key": lambda: held["training"],
    "5 in the place of a Parameter": lambda: held.update({"a": 5}),
}.items():
    try:
        seen = repr(use())
    except Exception as error:
        seen = type(error).__name__
    print(f"documented: {what}; seen: {seen}")
    differences += seen != ("None" if what.startswith("5") else "KeyError")
raise SystemExit(differences > 0)
