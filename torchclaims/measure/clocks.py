"""A clock whose readings have the device's queued work behind them."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch


def nothing() -> None:
    """What a device without a queue does to synchronise: the CPU's operations have finished when they return."""


class Event(Protocol):
    """A point on the device's own time line, as ``torch.cuda.Event(enable_timing=True)`` is one once recorded."""

    def synchronize(self) -> object:
        """Returns when the event has happened."""

    def elapsed_time(self, end_event: Any) -> float:
        """Milliseconds on the device from this event to ``end_event``, both of which have happened."""


@dataclass(frozen=True)
class Interval:
    """Seconds between two readings: of the host's clock, of this process on all its cores, and on the device."""

    wall: float
    cpu: float
    device: float | None = None


@dataclass(frozen=True)
class _Reading:
    wall: float
    cpu: float
    event: Event | None


class Clock:
    """Host wall time, read when the device has done what it was given; pytest-benchmark takes it as its ``timer``.

    Calls are start, end, start, end ... The readings are kept until :meth:`reset`.

    Args:
        synchronize: returns when all work that was queued on the device is done.
        events: queues an event that can be timed behind the device's work, and gives it back.
    """

    def __init__(self, synchronize: Callable[[], object] = nothing, events: Callable[[], Event] | None = None) -> None:
        self._synchronize = synchronize
        self._events = events
        self._readings: list[_Reading] = []

    @classmethod
    def of(cls, device: torch.device | str, wait: bool = True) -> Clock:
        """The clock of one of PyTorch's own devices.

        On CUDA, where each reading waits for the device, the first kernel of an interval starts late by the time to
        launch it. Without ``wait`` readings do not wait: the device's time has no such gap if work is queued before
        the start (a ``setup`` that flushes the cache), and wall time is the host's part alone.

        Raises:
            ValueError: how to wait for a device of this type is not known.
        """
        device = torch.device(device)
        if device.type == "cpu":
            return cls()
        if device.type == "cuda":
            synchronize = functools.partial(torch.cuda.synchronize, device)
            return cls(synchronize if wait else nothing, functools.partial(_cuda_event, device))
        if device.type == "mps":
            return cls(torch.mps.synchronize)
        raise ValueError(f"device {str(device)!r}: how to wait for it is not known; use Clock(synchronize)")

    def __call__(self) -> float:
        """Seconds on the host's clock, from an arbitrary start."""
        if len(self._readings) % 2 == 0:
            self._synchronize()
            event, cpu, wall = self._event(), time.process_time(), time.perf_counter()
        else:
            event = self._event()
            self._synchronize()
            wall, cpu = time.perf_counter(), time.process_time()
        self._readings.append(_Reading(wall, cpu, event))
        return wall

    def reset(self) -> None:
        """Forgets all readings; the next call is a start."""
        self._readings = []

    def intervals(self) -> list[Interval]:
        """What passed between each start and its end since the last :meth:`reset`; a start without an end is left."""
        pairs = zip(self._readings[::2], self._readings[1::2])  # noqa: B905 (Python 3.9 has no strict)
        return [
            Interval(end.wall - start.wall, end.cpu - start.cpu, _on_device(start.event, end.event))
            for start, end in pairs
        ]

    def resolution(self) -> float:
        """Seconds: the shortest interval above zero that two successive readings give here, the best of many."""
        probe = Clock(self._synchronize, self._events)
        for _ in range(200):
            probe()
        return min(interval.wall for interval in probe.intervals() if interval.wall > 0)

    def _event(self) -> Event | None:
        return self._events() if self._events else None


def _cuda_event(device: torch.device) -> Event:
    make: Any = torch.cuda.Event
    recorded: Event = torch.cuda.current_stream(device).record_event(make(enable_timing=True))
    return recorded


def _on_device(start: Event | None, end: Event | None) -> float | None:
    if start is None or end is None:
        return None
    end.synchronize()
    return start.elapsed_time(end) / 1e3
