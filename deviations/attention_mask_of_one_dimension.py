"""Docstring of F.scaled_dot_product_attention, attn_mask: broadcastable. One dimension is too few for the code."""

import torch

x = torch.ones(1, 1, 2, 3)
try:
    seen = torch.nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=torch.zeros(2)).shape
    wrong = False
except IndexError as error:
    seen, wrong = error, True
print("documented:", "attn_mask may have any shape that broadcasts to (N, H, L, S)")
print("seen:      ", seen)
raise SystemExit(int(wrong))
