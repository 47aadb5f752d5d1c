"""normalize: v / max(norm of v, eps), eps to avoid division by zero."""

import torch

seen = torch.nn.functional.normalize(torch.zeros(1, 2, dtype=torch.float16)).tolist()
documented = [[0.0, 0.0]]
print(f"documented: {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
