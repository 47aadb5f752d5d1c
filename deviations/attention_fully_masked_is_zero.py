"""A safe softmax gives 0 where all is masked; the page's equivalent code gives NaN."""

import torch

x, mask = torch.ones(1, 1, 1, 2), torch.tensor([[False]])
seen = torch.nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=mask).flatten()
wrong = not seen.isnan().all()
print("documented:", "the equivalent code takes the softmax of minus infinities: NaN")
print("seen:      ", seen)
raise SystemExit(int(wrong))
