"""PixelUnshuffle(2) is documented to make (N, 4 C, H / 2, W / 2) of (N, C, H, W)."""

import torch

x = torch.zeros(0, 4, 2, 2, requires_grad=True)
seen = tuple(torch.nn.PixelUnshuffle(2)(x).shape)
print(f"documented (0, 16, 1, 1), seen {seen}")
try:
    torch.nn.PixelShuffle(2)(x).sum().backward()
    print("documented a gradient of PixelShuffle, seen one")
    raise SystemExit(int(seen != (0, 16, 1, 1)))
except RuntimeError as error:
    print(f"documented a gradient of PixelShuffle, seen {error}")
    raise SystemExit(1) from None
