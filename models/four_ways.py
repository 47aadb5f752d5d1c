"""Four ways to write convolution, ReLU, pooling, linear, ReLU, linear; for images of 6 x 6."""

from __future__ import annotations

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn


class AttributesNet(nn.Module):
    """Layers with parameters are attributes; what has none is a function called in ``forward``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, 1, 1)
        self.dense1 = nn.Linear(32 * 3 * 3, 128)
        self.dense2 = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, 10) of the images ``x`` (N, 3, 6, 6)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = x.view(x.size(0), -1)
        x = F.relu(self.dense1(x))
        scores: Tensor = self.dense2(x)
        return scores


class ContainersNet(nn.Module):
    """Two ``nn.Sequential`` containers, ``conv`` and ``dense``; subclasses differ in how they fill them."""

    conv: nn.Sequential
    dense: nn.Sequential

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, 10) of the images ``x`` (N, 3, 6, 6)."""
        features = self.conv(x)
        scores: Tensor = self.dense(features.view(features.size(0), -1))
        return scores


class SequentialNet(ContainersNet):
    """The layers are the container's arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 32, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2))
        self.dense = nn.Sequential(nn.Linear(32 * 3 * 3, 128), nn.ReLU(), nn.Linear(128, 10))


class AddModuleNet(ContainersNet):
    """Each layer is added under a name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential()
        self.conv.add_module("conv1", nn.Conv2d(3, 32, 3, 1, 1))
        self.conv.add_module("relu1", nn.ReLU())
        self.conv.add_module("pool1", nn.MaxPool2d(2))
        self.dense = nn.Sequential()
        self.dense.add_module("dense1", nn.Linear(32 * 3 * 3, 128))
        self.dense.add_module("relu2", nn.ReLU())
        self.dense.add_module("dense2", nn.Linear(128, 10))


class OrderedDictNet(ContainersNet):
    """The container takes names and layers from an ``OrderedDict``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            OrderedDict([("conv1", nn.Conv2d(3, 32, 3, 1, 1)), ("relu1", nn.ReLU()), ("pool", nn.MaxPool2d(2))])
        )
        self.dense = nn.Sequential(
            OrderedDict([("dense1", nn.Linear(32 * 3 * 3, 128)), ("relu2", nn.ReLU()), ("dense2", nn.Linear(128, 10))])
        )


WAYS: tuple[type[nn.Module], ...] = (AttributesNet, SequentialNet, AddModuleNet, OrderedDictNet)
