"""Docstring of torch.nn.TransformerEncoderLayer: names of functions, which are in torch.nn.functional."""

import torch

seen = [hasattr(torch.functional, name) for name in ("relu", "gelu")]
wrong = not all(seen)
print("documented:", "the fast path is taken with torch.functional.relu or torch.functional.gelu")
print("seen: are they in torch.functional?", seen)
raise SystemExit(int(wrong))
