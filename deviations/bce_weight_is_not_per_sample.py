"""Weight is broadcast against the input from the last dimension: of size nbatch it weighs columns, or is an error."""

import torch

loss = torch.nn.BCELoss(weight=torch.tensor([1.0, 2.0]), reduction="none")
seen = loss(torch.full((2, 2), 0.5), torch.ones(2, 2))
wrong = seen[0, 0] != seen[0, 1]
print("documented:", "a weight of size nbatch, one for each batch element")
print("seen:      ", seen)
raise SystemExit(int(wrong))
