"""Not-a-number in a grid is documented to be interpreted as -1."""

import torch
from torch.nn.functional import grid_sample

deviates = False
for mode, padding, dims in (("bilinear", "border", 2), ("bilinear", "zeros", 2), ("nearest", "zeros", 2),
                            ("bicubic", "border", 2), ("bilinear", "border", 3)):  # fmt: skip
    x = torch.arange(1.0, 1 + 3**dims).view(1, 1, *[3] * dims)
    samples = []
    for place in (-1.0, float("nan")):
        grid = torch.tensor([place] + [0.0] * (dims - 1)).view(1, *[1] * dims, dims)
        samples.append(grid_sample(x, grid, mode, padding, align_corners=True).item())
    print(f"{mode}, {padding}, {dims}-D: documented {samples[0]}, seen {samples[1]}")
    deviates |= samples[0] != samples[1]
raise SystemExit(int(deviates))
