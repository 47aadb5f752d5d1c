"""MultiLabelMarginLoss: only the targets before the first -1 count; compiled."""

import torch

loss, x, target = torch.nn.MultiLabelMarginLoss(), torch.tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([[3, 0, -1, 1]])
seen = torch.compile(loss, backend="aot_eager")(x, target).item()
print("documented: 0.25 * (1.1 + 1.3 + 0.4 + 0.6) =", 0.85)
print("seen:      ", seen)
raise SystemExit(abs(seen - 0.85) > 1e-6)
