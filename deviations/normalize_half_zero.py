"""F.normalize of zeros in float16."""

import torch

seen = torch.nn.functional.normalize(torch.zeros(1, 3, dtype=torch.float16))
print("documented: v / max(norm, eps), where eps avoids division by zero: zeros")
print("seen:", seen.tolist())
raise SystemExit(int(bool(seen.isnan().any())))
