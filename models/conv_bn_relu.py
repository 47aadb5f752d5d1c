"""The stage that VGG repeats: convolution, batch normalisation, and ReLU, in place or not."""

from itertools import pairwise

from torch import nn


def conv_bn_relu(channels: list[int], *, inplace: bool) -> nn.Sequential:
    """A stage for each pair of neighbouring ``channels``; its 3x3 convolution keeps height and width."""
    stages: list[nn.Module] = []
    for width, next_width in pairwise(channels):
        stages += [
            nn.Conv2d(width, next_width, kernel_size=3, padding=1),
            nn.BatchNorm2d(next_width),
            nn.ReLU(inplace=inplace),
        ]
    return nn.Sequential(*stages)
