"""Is_causal is a hint about a mask that must be given."""

import torch

x, layer = torch.ones(1, 2, 4), torch.nn.TransformerDecoderLayer(4, 2, 8, batch_first=True)
try:
    seen, wrong = layer(x, x, tgt_is_causal=True).shape, False
except RuntimeError as error:
    seen, wrong = error, True
print("documented:", "tgt_is_causal, if specified, applies a causal mask")
print("seen:      ", seen)
raise SystemExit(int(wrong))
