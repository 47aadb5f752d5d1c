"""notes/out: the destination cannot be of a lower type kind than the result."""

import torch

x, out = torch.tensor([1.5, 1.5, 2.0]), torch.zeros((), dtype=torch.int64)
try:
    torch.sum(x, 0, out=out)
except RuntimeError as error:
    print(f"documented an error, seen {error}")
    raise SystemExit(0) from None
print(f"documented that out cannot be of whole numbers; seen the sum {out.item()} of {x.tolist()}")
raise SystemExit(1)
