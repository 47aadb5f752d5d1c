"""The fast path ignores is_causal without a word."""

import torch

x, layer = torch.ones(1, 2, 4), torch.nn.MultiheadAttention(4, 2, batch_first=True)
layer.eval()
with torch.no_grad():
    seen = layer(x, x, x, is_causal=True)[1].tolist()
wrong = seen[0][0] != [1.0, 0.0]
print("documented:", "is_causal, if specified, applies a causal mask")
print("seen:      ", seen)
raise SystemExit(int(wrong))
