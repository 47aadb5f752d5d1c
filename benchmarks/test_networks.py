"""Forward, backward and training step of the networks in models/, on each device.

    pytest --benchmark-only [--device cpu,cuda] [--dtype float32] [--mode eager,inductor]

Each row is checked once against the same network in float64 before it is timed: a fast wrong answer is no result.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from models.four_ways import WAYS
from models.reuse_cnn import AROUND, ONCE, TWICE, ReuseCnn
from models.vgg import VGG
from torchclaims.targets import Cell

Network = tuple[Callable[[], nn.Module], tuple[int, int, int]]

NETWORKS: dict[str, Network] = {
    "conv4 once": (lambda: ReuseCnn(ONCE), (3, 64, 64)),
    "conv4 twice": (lambda: ReuseCnn(TWICE), (3, 64, 64)),
    "conv4 around conv5": (lambda: ReuseCnn(AROUND), (3, 64, 64)),
    "VGG": (VGG, (3, 32, 32)),
    **{way.__name__: (way, (3, 6, 6)) for way in WAYS},
}


class Work:
    """A network in training mode in a cell, its input, and what is timed."""

    def __init__(self, cell: Cell, network: nn.Module, shape: tuple[int, ...]) -> None:
        self.cell = cell
        self.network = cell.place(network)
        self.call = cell.run(self.network)
        self.x = torch.randn(shape, dtype=torch.float64).to(cell.device.name, cell.dtype)
        self.optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)

    def forward(self) -> torch.Tensor:
        """Scores, with a graph."""
        return self.call(self.x)

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of a graph that was made outside the clock."""
        loss.backward()

    def step(self) -> None:
        """Forward pass, backward pass, and the optimizer's update."""
        self.optimizer.zero_grad()
        self.forward().sum().backward()
        self.optimizer.step()


@pytest.mark.parametrize("work", ["forward", "backward", "step"])
@pytest.mark.parametrize("batch", [16, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_network(benchmark, cell, name, batch, work):
    make, shape = NETWORKS[name]
    subject = Work(cell, make(), (batch, *shape))
    assert_right(subject, make())
    benchmark.group = f"{name}, {work}, batch {batch}"
    benchmark.extra_info |= {"cell": str(cell), "shape": [batch, *shape], "threads": torch.get_num_threads()}

    def timed(*arguments):
        getattr(subject, work)(*arguments)
        cell.device.synchronize()

    def fresh_graph():
        subject.optimizer.zero_grad()
        return (subject.forward().sum(),), {}

    if work == "backward":
        benchmark.pedantic(timed, setup=fresh_graph, rounds=10, warmup_rounds=2)
    else:
        benchmark(timed)


def assert_right(subject: Work, twin: nn.Module) -> None:
    """The network's scores are those of the same network in float64, to the accuracy that depth and dtype leave.

    Each of at most 50 layers may double the relative error of a rounding or so; a wrong layer is off by far more.
    """
    twin.load_state_dict(subject.network.state_dict())
    expected = twin.double()(subject.x.detach().cpu().double())
    state = {name: value.clone() for name, value in subject.network.state_dict().items()}
    error = (subject.forward().detach().cpu().double() - expected).norm() / expected.norm()
    subject.network.load_state_dict(state)
    assert error <= 2**10 * torch.finfo(subject.cell.dtype).eps, f"relative error {error:.2g} against float64"
