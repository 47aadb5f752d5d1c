"""What measures a row on one device: its clock, its limits, its memory, as far as the device tells.

Needs torch; :mod:`torchclaims.benchmarks`, which pytest loads first, does not.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch

from torchclaims.measure import clocks, machine, memory, timing, work
from torchclaims.report.environment import describe_device
from torchclaims.report.figures import figures, roofline
from torchclaims.targets import Device

MAX_ROUNDS = 2000  # of half a millisecond at least: a second's worth


class Instruments:
    """The instruments of ``target``; a row takes ``seconds``, and has ``least_rounds`` whatever that takes."""

    def __init__(self, target: Device, seconds: float, least_rounds: int) -> None:
        self.target = target
        self.seconds = seconds
        self.least_rounds = least_rounds
        self.limits: machine.Limits | None = None
        try:
            self.clock = clocks.Clock.of(target.name)
        except ValueError:  # a device of --device-spec
            self.clock = clocks.Clock(target.synchronize)

    def find_limits(self, dtypes: list[str], seconds: float) -> None:
        """Measures, in about ``seconds``, what the device can do at its best."""
        self.limits = machine.limits(self.target.name, dtypes, seconds, self.clock)

    def measure(self, benchmark: Any, subject: Any, eager: Any, dtype: str) -> dict[str, Any]:
        """Times ``subject`` by pytest-benchmark's fixture, which must have this clock, and gives a row's figures.

        ``eager`` is the same subject uncompiled, whose work is counted; ``dtype`` is that of its arithmetic.
        """
        best = (self.limits.flops.get(dtype), self.limits.bandwidth) if self.limits else (None, None)
        if eager.setup:
            eager.setup()
        counted = work.count(eager.call)
        taken = self.memory(subject)
        flush = self.flush if roofline(1.0, counted, *best)[1] == "memory" else None
        setup = _in_turn(subject.setup, flush)
        first = timing.measure(subject.call, self.clock, seconds=self.seconds, setup=setup, min_rounds=1, max_rounds=1)
        rounds = math.ceil(self.seconds / (first.loops * max(first.wall[0], 1e-9)))
        rounds = max(self.least_rounds, min(MAX_ROUNDS, rounds))
        self.clock.reset()
        benchmark.pedantic(subject.call, setup=setup, rounds=rounds, iterations=first.loops)
        samples = timing.Samples.of(self.clock.intervals(), first.loops)
        if flush and samples.device:  # the flush keeps the device busy while the host launches: no gap in its own time
            unwaited = clocks.Clock.of(self.target.name, wait=False)
            apart = timing.measure(subject.call, unwaited, seconds=self.seconds, setup=setup)
            samples = dataclasses.replace(samples, device=apart.device)
        return {
            "device": self.target.label,
            "device_description": describe_device(self.target),
            "shape": list(subject.shape),
            "threads": torch.get_num_threads(),
            "clock_resolution": self.resolution,
            **figures(samples, counted, taken, *best),
        }

    def memory(self, subject: Any) -> memory.Memory | None:
        """What a call takes of the device's memory; None where nothing tells."""
        try:
            return memory.measure(subject.call, self.target.name, *([subject.setup] if subject.setup else []))
        except ValueError:
            return None

    @cached_property
    def flush(self) -> Callable[[], object] | None:
        """What empties an accelerator's cache of a row's data; None for a CPU."""
        return machine.cache_flush(self.target.name)

    @cached_property
    def resolution(self) -> float:
        """Seconds: the shortest time that the clock tells apart."""
        return self.clock.resolution()


def _in_turn(*functions: Callable[[], object] | None) -> Callable[[], None] | None:
    """One function that calls those that are there; None where there are none."""
    there = [function for function in functions if function]

    def call() -> None:
        for function in there:
            function()

    return call if there else None
