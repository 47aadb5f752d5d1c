"""Is_causal is a hint about a mask that must be given."""

import torch

x, layer = torch.ones(1, 2, 4), torch.nn.MultiheadAttention(4, 2, batch_first=True)
try:
    seen, wrong = layer(x, x, x, is_causal=True)[1], False
except RuntimeError as error:
    seen, wrong = error, True
print("documented:", "is_causal, if specified, applies a causal mask")
print("seen:      ", seen)
raise SystemExit(int(wrong))
