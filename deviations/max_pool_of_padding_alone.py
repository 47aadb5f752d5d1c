"""MaxPool2d is documented to pad with minus infinity: a window of padding hands on no gradient."""

import torch

x = torch.ones(1, 1, 2, 2, requires_grad=True)
pool = torch.nn.MaxPool2d((1, 2), stride=2, padding=(0, 1), dilation=(1, 3), return_indices=True)
maximum, index = pool(x)
maximum.sum().backward()
print(f"documented no element for the window {maximum.tolist()}; seen index {index.item()}, gradient {x.grad.tolist()}")
raise SystemExit(int(bool(x.grad.any())))
