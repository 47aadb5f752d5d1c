"""max_pool1d, ceil_mode: every element in the input tensor is covered by a window."""

import torch

seen = torch.nn.functional.max_pool1d(torch.tensor([[0.0, 9.0]]), 1, 2, ceil_mode=True).max().item()
documented = 9.0
print(f"documented: {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
