"""Docstring of torch.manual_seed: negative seeds are mapped to 0xffff_ffff_ffff_ffff + seed."""

import torch

seen, documented = torch.manual_seed(-1).initial_seed(), 0xFFFF_FFFF_FFFF_FFFF + -1
print(f"seed -1: documented {documented:#x}, seen {seen:#x}")
raise SystemExit(seen != documented)
