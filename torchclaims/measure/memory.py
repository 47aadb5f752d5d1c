"""Memory that a call takes: at its worst, and for good."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity

from torchclaims.measure import clocks, trace
from torchclaims.measure.timing import resting_collector


@dataclass(frozen=True)
class Memory:
    """Bytes above what was held before the call: the most at any time, and what is left while its result is held."""

    peak: int
    retained: int


def measure(
    function: Callable[[], object], device: torch.device | str, setup: Callable[[], object] = clocks.nothing
) -> Memory:
    """The memory of ``function()`` on ``device``, as the device's allocator counts it.

    It is called twice, each time after ``setup()``; the second call is measured, so that what only a first call
    makes (workspaces, an optimizer's state) is not counted, and what a call frees of the call before is. The
    collector runs before and rests meanwhile. On the CPU, scratch memory that libraries and worker threads take
    without PyTorch's allocator is not seen, nor is the freeing of what was there before the first call.

    Raises:
        ValueError: PyTorch has no such statistics for this type of device.
        torch.cuda.OutOfMemoryError: from the call.
    """
    device = torch.device(device)
    if device.type == "cpu":
        return _on_cpu(function, setup)
    if device.type == "cuda":
        return _on_cuda(function, device, setup)
    raise ValueError(f"device {str(device)!r}: PyTorch tells no peak of its memory; use cpu or cuda")


def peak_and_retained(changes: Sequence[tuple[int, int]], mark: int) -> Memory:
    """The memory of allocations and releases in the order of time, each ``(address, bytes)``, releases negative.

    Counted are the changes behind the last allocation at address ``mark``. A release counts if its allocation was
    seen: what the allocator says about the others may be the size of an older block at the same address.
    """
    begin = max(place for place, (address, size) in enumerate(changes) if address == mark and size > 0)
    live: dict[int, int] = {}
    held = peak = 0
    for place, (address, size) in enumerate(changes):
        if size > 0:
            live[address] = size
        else:
            size = -live.pop(address, 0)
        if place > begin:
            held += size
            peak = max(peak, held)
    return Memory(peak, held)


def _on_cpu(function: Callable[[], object], setup: Callable[[], object]) -> Memory:
    def twice() -> tuple[torch.Tensor, object]:
        setup()
        function()
        gc.collect()
        setup()
        return torch.empty(1), function()

    with resting_collector():
        events, (mark, _) = trace.of(twice, activities=[ProfilerActivity.CPU], profile_memory=True)
    changes = [event["args"] for event in events if event["name"] == "[memory]"]
    return peak_and_retained([(one["Addr"], one["Bytes"]) for one in changes], mark.data_ptr())


def _on_cuda(function: Callable[[], object], device: torch.device, setup: Callable[[], object]) -> Memory:
    with resting_collector():
        setup()
        function()
        gc.collect()
        setup()
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        result = function()
        torch.cuda.synchronize(device)
        memory = Memory(torch.cuda.max_memory_allocated(device) - before, torch.cuda.memory_allocated(device) - before)
        del result
    return memory
