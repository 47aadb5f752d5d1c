"""What the room's tests save and load."""

import torch
from torch import nn

# What load_state_dict returns says this, where nothing is missing or too much.
SUCCESS = "<All keys matched successfully>"


class Stateful(nn.Module):
    """All kinds of state, some of it None, in an order that is no alphabet's; two levels below it."""

    def __init__(self, value=0.0):
        super().__init__()
        self.register_parameter("w", nn.Parameter(torch.full((2, 3), value)))
        self.register_parameter("no_parameter", None)
        self.register_buffer("seen", torch.full((2,), value))
        self.register_buffer("fleeting", torch.full((2,), value), persistent=False)
        self.register_buffer("no_buffer", None)
        self.frozen = nn.Parameter(torch.full((1,), value), requires_grad=False)
        self.plain = torch.full((1,), value)
        self.inner = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1, affine=False))
        self.register_module("no_child", None)
        nn.init.constant_(self.inner[0].weight, value)


KEYS = [
    "w", "frozen", "seen", "inner.0.weight",
    "inner.1.running_mean", "inner.1.running_var", "inner.1.num_batches_tracked",
]  # fmt: skip


def outcome(function, *args, **kwargs):
    """What a call returns, or the message of its RuntimeError."""
    try:
        return function(*args, **kwargs)
    except RuntimeError as error:
        return str(error)
