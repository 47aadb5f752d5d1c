"""Repeated timing of one call: warmed up, in loops that the clock can resolve, without the garbage collector."""

from __future__ import annotations

import contextlib
import gc
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torchclaims.measure.clocks import Clock, Interval

NOISY = 0.10  # spread above which a figure is marked
ROUND = 1e-3  # seconds that a round of a fast call should take, so that reading the clock costs nothing beside it
WARM_UP_SHARE = 0.1  # of the seconds asked for
WARM_UPS = 100
STEADY = 0.05  # a warm-up round that is faster than the best before by more than this says that it is not over


@dataclass(frozen=True)
class Samples:
    """Seconds a call, one entry for each round of ``loops`` calls.

    ``wall`` is the host's clock, ``cpu`` the process' time on all cores, ``device`` the device's own, where it tells.
    A ``kind`` is one of these three names.
    """

    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    device: tuple[float, ...] | None
    loops: int

    @classmethod
    def of(cls, intervals: list[Interval], loops: int) -> Samples:
        """The samples of a clock's intervals, each of ``loops`` calls."""
        on_device = [one.device / loops for one in intervals if one.device is not None]
        return cls(
            tuple(one.wall / loops for one in intervals),
            tuple(one.cpu / loops for one in intervals),
            tuple(on_device) or None,
            loops,
        )

    @property
    def noisy(self) -> bool:
        """Whether wall time spreads by more than :data:`NOISY`."""
        return self.spread() > NOISY

    def median(self, kind: str = "wall") -> float:
        """Seconds a call in the middle round."""
        return statistics.median(self._of_kind(kind))

    def spread(self, kind: str = "wall") -> float:
        """The interquartile range as a share of the median; 0 where the median is 0, as coarse CPU clocks make it."""
        values = self._of_kind(kind)
        if len(values) < 2:
            return 0.0
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        return (high - low) / middle if middle else 0.0

    def interval(self, kind: str = "wall", level: float = 0.95) -> tuple[float, float]:
        """Seconds a call: what :func:`median_interval` gives."""
        return median_interval(self._of_kind(kind), level)

    def _of_kind(self, kind: str) -> tuple[float, ...]:
        values: tuple[float, ...] | None = getattr(self, kind)
        if values is None:
            raise ValueError(f"no {kind} time was measured; choose another kind")
        return values


def median_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """The interval that holds the true median of what ``values`` are drawn from with confidence ``level``.

    Whatever the distribution, its ends are order statistics: the median is below the k-th smallest of n with
    probability P(Binomial(n, 1/2) < k). With too few values for the level (below six for 95 %), it is the whole range.
    Source: H. A. David and H. N. Nagaraja, Order Statistics, 3rd edition, section 7.1.
    """
    rank = _outside(len(values), level)
    return sorted(values)[rank], sorted(values)[-1 - rank]


def _outside(n: int, level: float) -> int:
    """How many of ``n`` ordered values may be left out on either side."""
    count, term, tail = 0, 1, 1  # the last two in units of 2**-n: exact
    while True:
        term = term * (n - count) // (count + 1)
        tail += term
        if tail / 2**n > (1 - level) / 2:
            return count
        count += 1


def measure(
    function: Callable[[], object],
    clock: Clock,
    *,
    seconds: float,
    setup: Callable[[], object] | None = None,
    min_rounds: int = 5,
    max_rounds: int = 1000,
) -> Samples:
    """Times ``function()`` in rounds for about ``seconds``, ``setup`` included.

    First it is warmed up, for a tenth of ``seconds`` at most (but twice at least), until two rounds in a row are no
    faster than the best before; meanwhile the number of calls in a round grows until it takes a millisecond. The last
    round of the warm-up is the first that counts. ``setup`` runs before each round, outside the clock; with it a
    round is one call. The garbage collector rests, and is as it was afterwards.

    Raises:
        ValueError: ``seconds`` is not a number above zero, or there are no rounds.
    """
    check_seconds(seconds)
    if not 1 <= min_rounds <= max_rounds:
        raise ValueError(f"min_rounds={min_rounds}, max_rounds={max_rounds}: give 1 or more, the second not below")

    def run(loops: int) -> tuple[float, float]:
        if setup:
            setup()
        start = clock()
        for _ in range(loops):
            function()
        return start, clock()

    with resting_collector():
        clock.reset()
        loops, begin, end = _warm_up(run, WARM_UP_SHARE * seconds, fixed=setup is not None)
        rounds = 1
        while rounds < min_rounds or (rounds < max_rounds and end - begin < seconds):
            _, end = run(loops)
            rounds += 1
    return Samples.of(clock.intervals()[-rounds:], loops)


def check_seconds(seconds: float) -> None:
    """Raises ValueError unless ``seconds`` is a time that can be spent."""
    if not 0 < seconds < math.inf:
        raise ValueError(f"seconds={seconds}: give a time above zero")


@contextlib.contextmanager
def resting_collector() -> Iterator[None]:
    """The cyclic garbage collector does not run meanwhile, and is as it was afterwards."""
    ran = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if ran:
            gc.enable()


def _warm_up(run: Callable[[int], tuple[float, float]], seconds: float, fixed: bool) -> tuple[int, float, float]:
    """The calls in a round, which is one if ``fixed``, and start and end of a round that had as many."""
    start, end = run(1)
    best = spent = end - start
    loops, rounds, steady = 1, 1, 0
    while True:
        start, end = run(loops)
        rounds, spent, once = rounds + 1, spent + end - start, (end - start) / loops
        sized = fixed or end - start > ROUND / 2
        steady = steady + 1 if sized and once > (1 - STEADY) * best else 0
        if spent > seconds or rounds >= WARM_UPS or steady == 2:
            return loops, start, end
        if not sized:
            loops = min(10 * loops, math.ceil(ROUND / max(once, 1e-9)))
        best = min(best, once)
