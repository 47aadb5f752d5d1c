"""F.linear is documented for a weight (in_features,) and a bias (), with an input of any dimensions."""

import torch

x, weight, bias = torch.ones(4, 3), torch.ones(3), torch.tensor(1.0)
try:
    seen = torch.nn.functional.linear(x, weight, bias).tolist()
except RuntimeError as error:
    print(f"documented [4.0, 4.0, 4.0, 4.0], seen {error}")
    raise SystemExit(1) from None
print(f"documented [4.0, 4.0, 4.0, 4.0], seen {seen}")
raise SystemExit(int(seen != [4.0] * 4))
