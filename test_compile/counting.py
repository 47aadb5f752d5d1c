"""A backend that counts, as PyTorch describes custom backends: any callable of a graph and its example inputs."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn


class CountingBackend:
    """Runs each graph as it is, and keeps it."""

    def __init__(self) -> None:
        self.graphs: list[torch.fx.GraphModule] = []
        self.example_inputs: list[list[torch.Tensor]] = []

    def __call__(self, graph: torch.fx.GraphModule, example_inputs: list[torch.Tensor]) -> Callable[..., Any]:
        self.graphs.append(graph)
        self.example_inputs.append(example_inputs)
        return graph.forward

    @property
    def count(self) -> int:
        """How often something was compiled."""
        return len(self.graphs)

    def calls(self) -> list[object]:
        """What the graphs call: functions, and names of methods."""
        kinds = ("call_function", "call_method", "call_module")
        return [node.target for graph in self.graphs for node in graph.graph.nodes if node.op in kinds]


class Scale(nn.Module):
    """A user's own module around a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) * 2


def graph_breaking(x: torch.Tensor) -> torch.Tensor:
    """Branches on a value, which no graph can hold."""
    doubled = x * 2
    if doubled.sum() > 0:
        return doubled + 1
    return doubled - 1


@pytest.fixture
def backend() -> Iterator[CountingBackend]:
    """A backend that counts what it is given; each test starts and ends with nothing compiled."""
    torch.compiler.reset()
    yield CountingBackend()
    torch.compiler.reset()
