"""The stage that VGG repeats: convolution, batch normalisation, ReLU; whether the ReLU works in place is a choice."""

from torch import nn


def conv_bn_relu(channels: list[int], *, inplace: bool) -> nn.Sequential:
    """One stage for each pair of neighbouring ``channels``, from 3x3 convolutions that keep height and width."""
    stages: list[nn.Module] = []
    for width, next_width in zip(channels[:-1], channels[1:], strict=True):
        stages += [
            nn.Conv2d(width, next_width, kernel_size=3, padding=1),
            nn.BatchNorm2d(next_width),
            nn.ReLU(inplace=inplace),
        ]
    return nn.Sequential(*stages)
