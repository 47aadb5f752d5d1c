"""Two calls beside each other in one process: how many times as long as the second does the first take?

What differs between two builds of one and the same subject, where its tensors lie in memory above all, differs for as
long as they live: by a percent or two on a quiet machine. So the sampling unit is a pair of subjects that are made
anew, in random order; within a pair both are timed in turn, again in random order, so that what disturbs the machine
disturbs both.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from torchclaims.measure.clocks import Clock
from torchclaims.measure.timing import median_interval, resting_collector

EQUAL, FASTER, SLOWER, UNRESOLVED = "equal", "faster", "slower", "not resolvable here"

BLOCK = 1e-3  # seconds that one subject runs before it is the other one's turn
MIN_BLOCKS = 5  # of each pair
LEVEL = 0.95

Build = Callable[[], Callable[[], object]]


@dataclass(frozen=True)
class Ratio:
    """The time of one call divided by that of another: an estimate, and an interval of 95 % confidence."""

    estimate: float
    low: float
    high: float

    def verdict(self, margin: float, expected: float = 1.0) -> str:
        """What the interval says about a ratio that should be ``expected``.

        ``equal`` if all of it lies within ``margin`` of that (0.05: between expected / 1.05 and expected * 1.05), which
        is an equivalence test by two one-sided tests at 2.5 % each; ``faster`` or ``slower`` if all of it lies beyond
        the margin; else ``not resolvable here``. With a margin of 0 any difference counts.

        Raises:
            ValueError: ``margin`` is negative, or ``expected`` is not a number above zero.
        """
        if margin < 0 or not 0 < expected < math.inf:
            raise ValueError(f"margin={margin}, expected={expected}: give a margin of 0 or more, a ratio above zero")
        least, most = expected / (1 + margin), expected * (1 + margin)
        if least <= self.low and self.high <= most:
            return EQUAL
        if self.high < least:
            return FASTER
        return SLOWER if self.low > most else UNRESOLVED

    def sentence(self, first: str, second: str, margin: float, expected: float = 1.0) -> str:
        """The finding in English: ``A takes 1.00 times the time of B (0.99 to 1.01): equal within 5 %``."""
        percent = f"{100 * margin:.3g} %"
        finding = self.verdict(margin, expected)
        if finding == EQUAL:
            finding = f"equal within {percent}" if expected == 1 else f"{expected:.3g} times within {percent}"
        elif finding != UNRESOLVED:
            finding += "" if expected == 1 else f" than {expected:.3g} times"
            finding += f" by more than {percent}" if margin else ""
        figures = f"{self.estimate:.2f} times the time of {second} ({self.low:.2f} to {self.high:.2f})"
        return f"{first} takes {figures}: {finding}"


def compare(
    first: Build,
    second: Build,
    clock: Clock,
    *,
    kind: str = "wall",
    pairs: int = 21,
    seconds: float = 0.1,
    seed: int = 0,
) -> Ratio:
    """How many times as long as what ``second`` makes a call of what ``first`` makes takes.

    A build makes a subject anew and returns the call to time. Each of ``pairs`` pairs is timed for about ``seconds``
    and gives the median of its blocks' ratios; the estimate is the median over the pairs, the interval lies between
    order statistics of them (see :func:`median_interval`).

    Args:
        clock: of the device that the calls use.
        kind: which time is compared: ``wall``, ``cpu`` (of the process, on all cores) or ``device``.
        seed: of the order in which subjects are made and timed.

    Raises:
        ValueError: there are too few pairs for the interval's level, or no such time was measured.
    """
    if pairs < 6:
        raise ValueError(f"pairs={pairs}: give at least 6, with fewer there is no interval of 95 %")
    generator = random.Random(seed)
    with resting_collector():
        ratios = [_pair((first, second), clock, kind, seconds, generator) for _ in range(pairs)]
    return Ratio(statistics.median(ratios), *median_interval(ratios, LEVEL))


def _pair(builds: tuple[Build, Build], clock: Clock, kind: str, seconds: float, generator: random.Random) -> float:
    order = generator.sample((0, 1), 2)
    made = {place: builds[place]() for place in order}
    loops = {place: _loops(call, clock, kind) for place, call in made.items()}
    ratios: list[float] = []
    spent = 0.0
    while len(ratios) < MIN_BLOCKS or spent < seconds:
        times = {place: _time(made[place], loops[place], clock, kind) for place in generator.sample((0, 1), 2)}
        spent += sum(times.values())
        ratios.append((times[0] / loops[0]) / (times[1] / loops[1]))
    return statistics.median(ratios)


def _loops(call: Callable[[], object], clock: Clock, kind: str) -> int:
    """How many calls a block holds; finding out warms the call up."""
    loops = 1
    _time(call, loops, clock, kind)
    while (spent := _time(call, loops, clock, kind)) < BLOCK:
        loops = max(loops + 1, min(10 * loops, math.ceil(BLOCK * loops / max(spent, 1e-9))))
    return loops


def _time(call: Callable[[], object], loops: int, clock: Clock, kind: str) -> float:
    """Seconds that ``loops`` calls take."""
    clock.reset()
    clock()
    for _ in range(loops):
        call()
    clock()
    spent: float | None = getattr(clock.intervals()[0], kind, None)
    if spent is None:
        raise ValueError(f"no {kind} time was measured; choose another kind")
    return spent
