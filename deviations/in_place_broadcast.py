"""notes/broadcasting, "In-place semantics": the message that is printed."""

import torch

DOCUMENTED = "The expanded size of the tensor (1) must match the existing size (7)"
try:
    torch.ones(1, 3, 1).add_(torch.ones(3, 1, 7))
except RuntimeError as error:
    print(f"documented: {DOCUMENTED}; seen: {error}")
    raise SystemExit(DOCUMENTED not in str(error)) from None
