"""A fully connected layer and a perceptron written by hand, as in "PyTorch basics (4): nn.Module"."""

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """``x @ w + b``; ``w`` is (in_features, out_features), the transpose of ``nn.Linear.weight``."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(in_features, out_features))
        self.b = nn.Parameter(torch.randn(out_features))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_features) to (N, out_features)."""
        x = x.mm(self.w)
        return x + self.b


class Perceptron(nn.Module):
    """Two :class:`Linear` layers, a sigmoid between them; every output is called ``x``."""

    def __init__(self, in_features: int, hidden_features: int, out_features: int) -> None:
        nn.Module.__init__(self)
        self.layer1 = Linear(in_features, hidden_features)
        self.layer2 = Linear(hidden_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_features) to (N, out_features)."""
        x = self.layer1(x)
        x = torch.sigmoid(x)
        return self.layer2(x)
