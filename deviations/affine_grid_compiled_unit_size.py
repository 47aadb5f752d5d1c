"""Docstring of F.affine_grid: a size with a 1, align_corners=True, a theta that requires a gradient; compiled."""

import warnings

import torch

warnings.simplefilter("ignore")
theta = torch.eye(2, 3)[None].requires_grad_()
print("documented: the grid [[-1, 0], [0, 0], [1, 0]]")
try:
    compiled = torch.compile(torch.nn.functional.affine_grid, backend="aot_eager")
    print("seen:      ", compiled(theta, [1, 1, 1, 3], align_corners=True).tolist())
except Exception as error:
    print("seen:      ", str(error).splitlines()[1])
    raise SystemExit(1) from None
