"""A VGG with batch normalisation for CIFAR, and the same network as a tutorial on pruning builds it."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

Configuration = Sequence["int | str"]

# Widths of the convolutions, "M" for a pooling; the last entry is the width of the classifier.
CONFIGURATION: Configuration = (
    *(64, 64, "M", 128, 128, "M", 256, 256, 256, "M"),
    *(512, 512, 512, "M", 512, 512, 512),
    512,
)

# The tutorial's tables of where `features` has its activations and convolutions; claims say what is wrong.
TUTORIAL_RELUS = (2, 6, 9, 13, 16, 19, 23, 26, 29, 33, 36, 39)
TUTORIAL_CONVOLUTIONS = (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37)


class VGG(nn.Module):
    """Convolutions and poolings after ``configuration``, a 2 x 2 average, two linear layers."""

    def __init__(
        self, num_classes: int = 10, configuration: Configuration = CONFIGURATION, init_weights: bool = True
    ) -> None:
        super().__init__()
        self.features = make_features(configuration[:-1])
        self.classifier = make_classifier(configuration, num_classes)
        if init_weights:
            initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of shape (N, num_classes) for images of shape (N, 3, H, W)."""
        x = self.features(x)
        x = nn.AvgPool2d(2)(x)
        x = x.view(x.size(0), -1)
        return self.classifier(x)


def make_features(configuration: Configuration) -> nn.Sequential:
    """Convolution, normalisation and activation for each width, a pooling for each "M", named by place."""
    layers = nn.Sequential()
    in_channels = 3
    for place, width in enumerate(configuration):
        if width == "M":
            layers.add_module(f"pool{place}", nn.MaxPool2d(kernel_size=2, stride=2))
        else:
            layers.add_module(f"conv{place}", nn.Conv2d(in_channels, width, kernel_size=3, padding=1))
            layers.add_module(f"norm{place}", nn.BatchNorm2d(width))
            layers.add_module(f"relu{place}", nn.ReLU(inplace=True))
            in_channels = width
    return layers


def make_classifier(configuration: Configuration, num_classes: int) -> nn.Sequential:
    """Two linear layers, the first one normalised and rectified."""
    return nn.Sequential(
        OrderedDict(
            linear1=nn.Linear(configuration[-2], configuration[-1]),
            norm1=nn.BatchNorm1d(configuration[-1]),
            relu1=nn.ReLU(inplace=True),
            linear2=nn.Linear(configuration[-1], num_classes),
        )
    )


def initialise(net: nn.Module) -> None:
    """The tutorial's initialisation; it passes over BatchNorm1d, which is no BatchNorm2d."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            n = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            module.weight.data.normal_(0, math.sqrt(2.0 / n))
            if module.bias is not None:
                module.bias.data.zero_()
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.data.fill_(0.5)
            module.bias.data.zero_()
        elif isinstance(module, nn.Linear):
            module.weight.data.normal_(0, 0.01)
            module.bias.data.zero_()


class TutorialVGG(VGG):
    """The network as the tutorial builds it, with the mistakes that claims are about.

    ``compress_rate`` has a default but must have an entry for each convolution; nothing reads the entries.
    """

    def __init__(
        self,
        num_classes: int = 10,
        init_weights: bool = True,
        cfg: Configuration | None = None,
        compress_rate: Sequence[float] | None = None,
    ) -> None:
        nn.Module.__init__(self)  # not VGG's, which builds a network of its own
        self.features = nn.Sequential()
        if cfg is None:
            cfg = CONFIGURATION
        self.relucfg = TUTORIAL_RELUS
        self.covcfg = TUTORIAL_CONVOLUTIONS
        self.compress_rate = compress_rate
        self.features = self.make_layers(cfg[:-1], True, compress_rate)
        self.classifier = make_classifier(cfg, num_classes)
        if init_weights:
            initialise(self)

    def make_layers(
        self, cfg: Configuration, batch_norm: bool = True, compress_rate: Sequence[float] | None = None
    ) -> nn.Sequential:
        """As :func:`make_features`; ``batch_norm`` is ignored."""
        layers = nn.Sequential()
        in_channels = 3
        cnt = 0
        for i, v in enumerate(cfg):
            if v == "M":
                layers.add_module(f"pool{i}", nn.MaxPool2d(kernel_size=2, stride=2))
            else:
                conv2d = nn.Conv2d(in_channels, v, kernel_size=3, padding=1)
                conv2d.cp_rate = compress_rate[cnt]
                cnt += 1
                layers.add_module(f"conv{i}", conv2d)
                layers.add_module(f"norm{i}", nn.BatchNorm2d(v))
                layers.add_module(f"relu{i}", nn.ReLU(inplace=True))
                in_channels = v
        return layers
