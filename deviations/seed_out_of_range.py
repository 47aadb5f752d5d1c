"""Docstring of torch.manual_seed: a seed outside the range raises a RuntimeError."""

import torch

try:
    torch.manual_seed(2**64)
except Exception as error:
    print(f"documented a RuntimeError, seen {type(error).__name__}: {error}")
    raise SystemExit(not isinstance(error, RuntimeError)) from None
