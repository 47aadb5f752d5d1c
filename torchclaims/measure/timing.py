"""Repeated timing of one call: warmed up, in loops that the clock can resolve, without the garbage collector."""

from __future__ import annotations

import contextlib
import gc
import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torchclaims.measure.clocks import Clock, Interval

NOISY = 0.10  # spread above which a figure is marked
ROUND = 1e-3  # seconds that a round of a fast call should take, so that reading the clock costs nothing beside it
WARM_UP_SHARE = 0.1  # of the seconds asked for
WARM_UPS = 100
STEADY = 0.05  # a warm-up round that is faster than the one before by more than this says that it is not over


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
        """Seconds a call: the interval that holds the true median with confidence ``level``, whatever the distribution.

        It lies between two order statistics: the median is below the k-th smallest of n with probability
        P(Binomial(n, 1/2) < k). With too few rounds for the level (below six for 95 %), it is the whole range.
        Source: H. A. David and H. N. Nagaraja, Order Statistics, 3rd edition, section 7.1.
        """
        values = sorted(self._of_kind(kind))
        rank = _outside(len(values), level)
        return values[rank], values[-1 - rank]

    def _of_kind(self, kind: str) -> tuple[float, ...]:
        values: tuple[float, ...] | None = getattr(self, kind)
        if values is None:
            raise ValueError(f"no {kind} time was measured; choose another kind")
        return values


def _outside(n: int, level: float) -> int:
    """How many of ``n`` ordered values may be left out on either side."""
    tail, term, count = 0, 1, 0  # in units of 2**-n: exact
    allowed = (1 - level) / 2
    while count < (n - 1) // 2:
        tail += term
        if tail > allowed * 2**n:
            break
        count += 1
        term = term * (n - count + 1) // count
    return count


def measure(
    function: Callable[[], object],
    clock: Clock,
    *,
    seconds: float,
    setup: Callable[[], object] | None = None,
    min_rounds: int = 5,
    max_rounds: int = 1000,
) -> Samples:
    """Times ``function()`` in rounds for about ``seconds``.

    First it is warmed up, for a tenth of ``seconds`` at most (but twice at least), until a round is no longer faster
    than the one before; meanwhile the number of calls in a round grows until it takes a millisecond. The last round
    of the warm-up is the first that counts. ``setup`` runs before each round, outside the clock; with it a round is
    one call. The garbage collector rests, and is as it was afterwards.

    Raises:
        ValueError: ``seconds`` is not a number above zero, or there are no rounds.
    """
    if not 0 < seconds < math.inf:
        raise ValueError(f"seconds={seconds}: give a time above zero")
    if not 1 <= min_rounds <= max_rounds:
        raise ValueError(f"min_rounds={min_rounds}, max_rounds={max_rounds}: give 1 or more, the second not below")
    with resting_collector():
        loops = _warm_up(function, clock, WARM_UP_SHARE * seconds, setup)
        rounds, spent = 1, 0.0
        while rounds < min_rounds or (rounds < max_rounds and spent < seconds):
            spent += _round(function, clock, loops, setup)
            rounds += 1
    return Samples.of(clock.intervals()[-rounds:], loops)


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


def _warm_up(function: Callable[[], object], clock: Clock, seconds: float, setup: Callable[[], object] | None) -> int:
    """The calls in a round, from rounds of which the last had as many; the clock keeps their readings."""
    clock.reset()
    loops, spent = 1, _round(function, clock, 1, setup)
    previous = spent
    for _ in range(WARM_UPS):
        took = _round(function, clock, loops, setup)
        once, spent = took / loops, spent + took
        if spent > seconds:
            break
        if not setup and took < ROUND / 2:
            loops = min(10 * loops, math.ceil(ROUND / max(once, 1e-9)))
        elif once > (1 - STEADY) * previous:
            break
        previous = once
    return loops


def _round(function: Callable[[], object], clock: Clock, loops: int, setup: Callable[[], object] | None) -> float:
    """Seconds that ``loops`` calls take."""
    if setup:
        setup()
    start = clock()
    for _ in range(loops):
        function()
    return clock() - start
