"""The functions are torch.nn.functional.relu and gelu."""

import torch

seen = [hasattr(torch.functional, name) for name in ("relu", "gelu")]
wrong = not all(seen)
print("documented:", "the fast path is taken with torch.functional.relu or torch.functional.gelu")
print("seen:      ", seen)
raise SystemExit(int(wrong))
