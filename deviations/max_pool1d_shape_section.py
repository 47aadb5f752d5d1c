"""MaxPool1d, Shape, ceil_mode = True."""

import torch

size, kernel, stride, padding = 5, 2, 3, 1
more = stride - 1 if "(stride - 1)" in torch.nn.MaxPool1d.__doc__ else 0
documented = -(-(size + 2 * padding - kernel + more) // stride) + 1
documented -= (documented - 1) * stride >= size + padding
seen = torch.nn.MaxPool1d(kernel, stride, padding, ceil_mode=True)(torch.zeros(1, 1, size)).shape[-1]
print(f"documented: {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
