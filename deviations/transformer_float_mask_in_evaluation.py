"""The fast path takes every element of a float mask that is not 0 for True, masked."""

import torch

x, layer = torch.randn(1, 2, 4), torch.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval()
with torch.no_grad():
    seen = layer(x, src_mask=torch.tensor([[0.5, 1.0], [1.0, 0.5]])).flatten().tolist()
wrong = seen[0] != seen[0]
print("documented:", "a float mask is added to the attention weight")
print("seen:      ", seen)
raise SystemExit(int(wrong))
