"""Docstrings of torch.nn.Fold and Unfold: tuples of length one are replicated across all spatial dimensions."""

import torch

deviates = False
for name, make, shape in (
    ("Unfold((2,))", lambda: torch.nn.Unfold((2,)), (1, 2, 4, 4)),
    ("Fold((4,), 2)", lambda: torch.nn.Fold((4,), 2), (1, 8, 9)),
):
    try:
        print(f"{name}: documented as with two such numbers, seen {tuple(make()(torch.ones(shape)).shape)}")
    except RuntimeError as error:
        deviates = True
        print(f"{name}: documented as with two such numbers, seen: {error}")
raise SystemExit(int(deviates))
