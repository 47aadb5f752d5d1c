"""The work in a call: floating-point operations, bytes that must move, operators."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from torchclaims.measure import trace

# Operators in place that write without reading what was there.
OVERWRITING = frozenset(["bernoulli_", "copy_", "exponential_", "fill_", "normal_", "random_", "uniform_", "zero_"])


@dataclass(frozen=True)
class Work:
    """What one call has to do.

    ``flops`` counts a multiplication and an addition as two, in matrix products, convolutions and attention, as
    ``torch.utils.flop_counter`` does: elementwise operators and normalisations count nothing. None before PyTorch 2.1.
    ``bytes`` is what operators move if each reads every tensor that it is given once and writes every result once.
    ``operations`` is how many operators did something to memory; on CUDA, how many kernels were launched.
    """

    flops: int | None
    bytes: int
    operations: int


def count(function: Callable[[], object]) -> Work:
    """Counts the work of ``function()``, forward and backward, by calling it; on CUDA it is called once more.

    ``function`` must be eager: compiled code shows no operators.
    """
    counter, traffic = _flop_counter(), _Traffic()
    with counter or contextlib.nullcontext(), traffic:
        function()
    operations = trace.kernels(function) if traffic.on_cuda else traffic.operations
    return Work(counter.get_total_flops() if counter else None, traffic.bytes, operations)


def _flop_counter() -> Any:
    try:
        flop_counter = importlib.import_module("torch.utils.flop_counter")
    except ImportError:  # it came with PyTorch 2.1
        return None
    return flop_counter.FlopCounterMode(display=False)


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what operators read and write.

    A view has a new tensor on the memory of one that it was given: it moves nothing. An operator in place gives back
    the very tensor that it was given, which it has read and written; one that gives nothing back, as ``_foreach_``
    operators in place, has written its first argument. ``empty`` and its kin write nothing. What gives no tensor is
    not counted, nor are buffers that an operator changes aside, as batch normalisation's running statistics.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0
        self.operations = 0
        self.on_cuda = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs one operator and adds up its traffic."""
        result = func(*args, **(kwargs or {}))
        name = str(func).split(".")[1]
        given, written = _unique([args, kwargs]), _unique(result)
        if name.endswith("_") and not written:
            written = _unique(args[0])
        if not written or "empty" in name or _is_view(given, written):
            return result
        read = _unique([args[1:], kwargs]) if name in OVERWRITING else {} if _makes(name) else given
        self.bytes += sum(map(_bytes, [*read.values(), *written.values()]))
        self.operations += 1
        self.on_cuda |= any(one.is_cuda for one in written.values())
        return result


def _makes(name: str) -> bool:
    """Whether an operator takes no more than shape and dtype from its first argument."""
    return name.endswith("_like") or name.startswith("new_")


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _tensors(one)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _unique(value: Any) -> dict[int, torch.Tensor]:
    return {id(one): one for one in _tensors(value)}


def _is_view(read: dict[int, torch.Tensor], written: dict[int, torch.Tensor]) -> bool:
    memory = {_memory(one) for one in read.values()}
    return bool(written) and all(key not in read and _memory(one) in memory for key, one in written.items())


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _bytes(tensor: torch.Tensor) -> int:
    """Bytes of the elements that are there: an expanded dimension repeats its one element."""
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride()):  # noqa: B905 (Python 3.9 has no strict)
        elements *= size if stride else min(size, 1)
    return elements * tensor.element_size()
