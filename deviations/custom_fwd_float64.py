"""torch.amp.custom_fwd(cast_inputs=...) is documented to cast incoming floating-point tensors within autocast."""

import torch


class Identity(torch.autograd.Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx, x):
        return x


with torch.autocast("cpu"):
    seen = Identity.apply(torch.ones(2, dtype=torch.float64)).dtype
print(f"documented {torch.float32} in forward, seen {seen}")
raise SystemExit(int(seen != torch.float32))
