"""Circular padding up to the input's size is documented, and that negative padding removes the ends."""

import torch

torch.use_deterministic_algorithms(True)  # memory that nothing was written to reads as nan
x, deviates = torch.arange(5.0).view(1, 5), False
for padding in ((-5, 5), (-3, 3), (-4, 3)):
    try:
        seen = torch.nn.CircularPad1d(padding)(x).flatten().tolist()
        deviates |= any(value not in x for value in seen)
    except RuntimeError as error:
        seen, deviates = str(error).partition(".")[0], True
    print(f"{padding}: documented values of {x.flatten().tolist()}, seen {seen}")
raise SystemExit(int(deviates))
