"""gumbel_softmax, tau: non-negative scalar temperature; samples sum to 1."""

import torch

seen = torch.nn.functional.gumbel_softmax(torch.tensor([1.0, 2.0]), tau=0).sum().item()
documented = 1.0
print(f"documented: {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
