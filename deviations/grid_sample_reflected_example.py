"""grid_sample is documented to reflect the place -3.5 to 1.5, and then to -0.5."""

import torch

x = torch.arange(8.0).view(1, 1, 1, 8)
documented, seen = (
    torch.nn.functional.grid_sample(
        x, torch.tensor([[[[place, 0.0]]]]), padding_mode="reflection", align_corners=False
    ).item()
    for place in (-0.5, -3.5)
)
print(f"documented the value at -0.5, {documented}, seen {seen}")
raise SystemExit(int(documented != seen))
