"""notes/broadcasting, "Backwards compatibility"."""

import warnings

import torch

torch.utils.backcompat.broadcast_warning.enabled = True
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    torch.add(torch.ones(4, 1), torch.ones(4))
try:
    torch.ones(2, 3).add_(torch.ones(3, 2))
    refused = None
except RuntimeError as error:
    refused = error
print(f"documented a warning of broadcastable tensors with as many elements; seen {len(seen)} warnings")
print(f"documented a warning where they do not broadcast; seen {refused}")
raise SystemExit(not seen or refused is not None)
