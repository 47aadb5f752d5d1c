"""What one process is asked, and what it says: plain values, as they come through execnet and as they are stored."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

SILENCE = 60.0  # seconds without a word after which a process hangs
COMPILING = 600.0  # likewise, where networks are compiled


@dataclass(frozen=True)
class Job:
    """What is asked of every process: the sources it needs, where it computes, how long it times each row (seconds)."""

    sources: dict[str, str]
    device: str = ""  # cuda where there is one, else cpu
    mode: str = "eager"
    precisions: tuple[str, ...] | None = None  # of the rows that are listed; None: those that the device has
    threads: int = 0  # as torch chooses
    seconds: float = 0.3
    seed: int = 0
    subject: bool = False
    silence: float = SILENCE


@dataclass(frozen=True)
class Result:
    """What a row computed: what is ``wrong`` with it, or None; numbers to compare, and by how much each may be off."""

    wrong: str | None
    digest: list[float]
    allowed: float


@dataclass
class Life:
    """What one process said. ``void`` is why none of it counts; ``row`` is what it was doing then."""

    build: dict[str, Any] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    turns: dict[str, int] = field(default_factory=dict)  # how often each row is to be timed
    visits: dict[str, dict[str, list[float]]] = field(default_factory=dict)  # row -> kind of time -> seconds a call
    results: dict[str, Result] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    void: str | None = None
    row: str | None = None

    def take(self, message: Any) -> None:
        """Notes one message.

        Raises:
            ValueError: it is none that a process of ours sends.
        """
        match message:
            case ["build", dict(build)]:
                self.build = build
            case ["rows", [*rows]] if all(isinstance(row, str) for row in rows):
                self.listed = rows
            case ["result", str(row), str() | None as wrong, [*digest], float(allowed)] if _are_floats(digest):
                self.results[row] = Result(wrong, digest, allowed)
            case ["turns", str(row), int(turns)] if turns > 0:
                self.turns[row] = turns
            case ["visit", str(row), dict(times)] if times and all(map(_is_time, times.values())):
                for kind, seconds in times.items():
                    self.visits.setdefault(row, {}).setdefault(kind, []).append(seconds)
            case ["absent", str(row), str(reason)]:
                self.absent[row] = reason
            case ["error", str(row), str(reason)]:
                self.errors[row] = reason
                self.turns.pop(row, None)
                self.visits.pop(row, None)
            case ["unfit", str(reason)]:
                self.void = reason
            case _:
                raise ValueError(repr(message)[:80])

    def median(self, row: str, kind: str) -> float:
        """Seconds a call, over all visits to the row."""
        return statistics.median(self.visits[row][kind])


def _is_time(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < math.inf


def _are_floats(values: Iterable[Any]) -> bool:
    return all(isinstance(value, float) for value in values)
