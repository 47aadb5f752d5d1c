"""Docstring of torch.nn.SiLU, inplace: of an intermediate result that requires a gradient; compiled."""

import torch

leaf = torch.tensor([1.0, 0.0], requires_grad=True)
x = leaf * 1
torch.compile(torch.nn.SiLU(inplace=True), backend="aot_eager")(x)
print("documented: as not compiled, a gradient of [0.93, 0.5]")
try:
    x.sum().backward()
except RuntimeError as error:
    print("seen:      ", str(error).splitlines()[0])
    raise SystemExit(1) from None
print("seen:      ", leaf.grad.tolist())
