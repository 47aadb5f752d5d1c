"""Docstring of torch.nn.LazyInstanceNorm1d: the defaults of its arguments, num_features, an input of (C, L)."""

import torch

differences, module = 0, torch.nn.LazyInstanceNorm1d()
print("documented: False, False; seen:", module.affine, module.track_running_stats)
differences += module.affine or module.track_running_stats
for what, use in {
    "num_features=3": lambda: torch.nn.LazyInstanceNorm1d(num_features=3),
    "an input of 3 channels, without a batch": lambda: torch.nn.LazyInstanceNorm1d(affine=True)(torch.zeros(3, 5)),
}.items():
    try:
        use()
    except (TypeError, ValueError) as error:
        print("documented:", what, "is taken; seen:", error)
        differences += 1
raise SystemExit(differences > 0)
