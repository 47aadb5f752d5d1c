"""The first stage of an AlexNet, with its activation as a module and as a function."""

import torch
import torch.nn.functional as F
from torch import nn


class ModuleStem(nn.Module):
    """Convolution, batch normalisation and, as a third module, ``nn.ReLU`` in place."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, kernel_size=3, stride=2, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) to (N, width, ceil(H / 2), ceil(W / 2))."""
        return self.features(x)


class FunctionalStem(nn.Module):
    """Convolution and batch normalisation as modules; ``F.relu`` is called in forward."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, kernel_size=3, stride=2, padding=1),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) to (N, width, ceil(H / 2), ceil(W / 2))."""
        return F.relu(self.features(x))
