"""The fast path ignores is_causal without a word."""

import torch

x, layer = torch.randn(1, 2, 4), torch.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval()
with torch.no_grad():
    seen = (layer(x, is_causal=True) - layer(x)).abs().max().item()
wrong = seen == 0.0
print("documented:", "is_causal, if specified, applies a causal mask: the first step sees itself only")
print("seen:      ", seen)
raise SystemExit(int(wrong))
