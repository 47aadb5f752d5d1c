"""The fused kernel on the CPU takes both."""

import torch

x, mask = torch.ones(1, 1, 2, 2), torch.ones(2, 2, dtype=torch.bool)
attend = torch.nn.functional.scaled_dot_product_attention
try:
    seen, wrong = attend(x, x, x, attn_mask=mask, is_causal=True).shape, True
except RuntimeError as error:
    seen, wrong = error, False
print("documented:", "an error is thrown if both attn_mask and is_causal are set")
print("seen:      ", seen)
raise SystemExit(int(wrong))
