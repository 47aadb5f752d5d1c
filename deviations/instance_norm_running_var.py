"""Docstring of torch.nn.InstanceNorm1d: running estimates of its computed variance, which is the biased one."""

import torch

norm = torch.nn.InstanceNorm1d(1, momentum=1.0, track_running_stats=True)
norm(torch.tensor([[[0.0, 2.0]]]))
print("documented: an estimate of the computed, biased variance, 1.0")
print("seen:", norm.running_var.item())
raise SystemExit(int(abs(norm.running_var.item() - 1) > 1e-6))
