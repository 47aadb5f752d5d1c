"""A CNN for 64 x 64 images that may pass through one of its layers more than once."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn

ONCE = ("conv4",)
TWICE = ("conv4", "conv4")
AROUND = ("conv4", "conv5", "conv4")


def pooled(channels_in: int, channels_out: int) -> nn.Sequential:
    """Convolution, ReLU, and a pooling that halves height and width."""
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2))


def normalised(channels: int) -> nn.Sequential:
    """Convolution, batch normalisation and ReLU; what comes out has the shape of what went in."""
    return nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1), nn.BatchNorm2d(channels), nn.ReLU())


class ReuseCnn(nn.Module):
    """Three pooled blocks, then the blocks that ``path`` names, in its order, then a linear layer.

    A block that ``path`` names twice is one module, applied twice. ``width`` scales the channels, ``size`` is
    the height and width of the images.
    """

    def __init__(self, path: Sequence[str] = ONCE, *, width: int = 16, size: int = 64) -> None:
        super().__init__()
        self.path = tuple(path)
        self.conv1 = pooled(3, width)
        self.conv2 = pooled(width, 2 * width)
        self.conv3 = pooled(2 * width, 4 * width)
        self.conv4 = normalised(4 * width)
        if "conv5" in path:
            self.conv5 = normalised(4 * width)
        self.out = nn.Linear(4 * width * (size // 8) ** 2, 6)

    def features(self, x: Tensor) -> Tensor:
        """What the pooled blocks make of the images ``x`` (N, 3, size, size)."""
        features: Tensor = self.conv3(self.conv2(self.conv1(x)))
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, 6) of the images ``x`` (N, 3, size, size)."""
        x = self.features(x)
        for name in self.path:
            x = self.get_submodule(name)(x)
        scores: Tensor = self.out(x.view(x.size(0), -1))
        return scores


def with_alias(model: ReuseCnn) -> ReuseCnn:
    """``model`` with its fourth block registered under a second name, ``alias``, and applied under both."""
    model.add_module("alias", model.conv4)
    model.path = ("conv4", "alias")
    return model


def untied(model: ReuseCnn) -> ReuseCnn:
    """A copy of ``model`` whose second pass through the fourth block uses a block of its own, ``twin``.

    The twin starts with equal values.
    """
    free = copy.deepcopy(model)
    free.add_module("twin", copy.deepcopy(free.conv4))
    free.path = ("conv4", "twin")
    return free
