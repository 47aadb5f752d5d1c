"""A basic residual block, as it is copied between tutorials: the shortcut is never projected."""

from torch import Tensor, nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    """``relu(x + branch(x))``; both convolutions take ``stride``: only 1 keeps the shape of ``x``."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, stride=stride, padding=1)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def branch(self, x: Tensor) -> Tensor:
        """What is added to the shortcut."""
        output = F.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(output))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to whatever the sum with ``x`` broadcasts to."""
        return F.relu(x + self.branch(x))
