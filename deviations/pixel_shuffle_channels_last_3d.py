"""PixelShuffle is documented to take (*, C, H, W): the strides of two dimensions of batch are not said to matter."""

import torch

x = torch.rand(2, 3, 4, 2, 2)
try:
    seen = torch.nn.PixelShuffle(2)(x.contiguous(memory_format=torch.channels_last_3d))
except RuntimeError as error:
    print(f"documented the same result however x lies in memory, seen: {error}")
    raise SystemExit(1) from None
same = torch.equal(seen, torch.nn.PixelShuffle(2)(x))
print(f"documented the same result however x lies in memory, seen {'the same' if same else 'another'}")
raise SystemExit(int(not same))
