"""When is a row slower? A table of rows, judged by sequential tests of log ratios of time, one per pair of processes.

**What is observed.** A pair is one process of the candidate and one of the baseline, in an order that a fair coin
tosses anew for each pair. It gives each row x = log(candidate's seconds / baseline's), one for each kind of time.
Rounds within a process are no observations: identical code differs between two processes for their whole life.

**What is decided.** With the threshold T, the smallest slowdown that must be found, two statements are tested for each
row and kind of time, and pairs are drawn until one is refuted:

- ratio <= 1, "no slower at all". Refuted: the row is *slower*. At most `alpha` that over the whole table, by any row or
  kind, such a statement is refuted though it is true (Holm). This is the false alarm.
- ratio >= 1 + T, "slower by the threshold or more". Refuted for each kind: the row is *not slower*. At most `alpha`
  for each row that is that slow. No correction is due: the table is green only if every row is, so that a green
  table with a slow row is at most as likely (intersection-union test; R. Berger, Technometrics 24, 1982).

Were there one statement only, with T between *slower* and *not slower*, a slowdown of T would be a coin toss, and
T / 2 would have to be told from 0, which takes four times as many pairs. A true ratio between 1 and 1 + T
may end either way, below T / 2 mostly as *not slower*; the interval says what it is. Where both statements are
refuted, the row is slower by less than T: *not slower*. *Faster* refutes ratio >= 1, over the table like
*slower*. All else is *undecided*, which is never green. `evidence` says how a statement is refuted.

**Kinds of time.** CPU time, or device time, leads. Wall time, or host time, also sees what only waits, such as for a
lock, but is about twice as noisy: its threshold is twice the row's (LOOSER), and it too must be found not slower.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from torchclaims.gate.evidence import DENSITIES, centre, detectable, holm, log_factors, log_mean_exp, lower_bound

State = Literal["slower", "not slower", "faster", "undecided"]
Standing = State | Literal["seems faster"]

FAMILIES = (("cpu", "wall"), ("device", "host"))  # the kind of time that leads, then the one that also sees waiting
LOOSER = {"cpu": 1.0, "wall": 2.0, "device": 1.0, "host": 2.0}  # a kind's threshold, in units of the row's
SEEMS_FASTER: Final = "seems faster"  # at `alpha`, but not over the whole table


@dataclass(frozen=True)
class Rule:
    """What is called slower. `threshold` is relative (0.05 is 5 %), `thresholds` are rows' own; `alpha` is the table's.

    Raises ValueError for a threshold that is not positive, an alpha outside (0, 0.5], or fewer than one pair.
    """

    threshold: float = 0.05
    alpha: float = 0.01
    max_pairs: int = 100
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for row, threshold in [("the table", self.threshold), *self.thresholds.items()]:
            if not 0 < threshold < math.inf:
                raise ValueError(f"the threshold of {row} is {threshold}: it must be positive, such as 0.05 for 5 %")
        if not 0 < self.alpha <= 0.5:
            raise ValueError(f"alpha is {self.alpha}: it must be above 0 and at most 0.5, such as 0.01 for 1 %")
        if self.max_pairs < 1:
            raise ValueError(f"max_pairs is {self.max_pairs}: at least one pair is needed")

    def shift(self, row: str, kind: str) -> float:
        """log(1 + threshold) for this row and kind of time."""
        return math.log1p(LOOSER[kind] * self.thresholds.get(row, self.threshold))


@dataclass(frozen=True)
class Interval:
    """Of the ratio candidate / baseline in one kind of time; 0, inf and nan where the pairs say nothing yet.

    `low` and `high` each miss the ratio with a chance of at most `alpha`, at whatever pair one stops. `detectable` is
    the smallest ratio that as many pairs, as noisy as these, mostly show as slower, over the table.
    """

    estimate: float = math.nan
    low: float = 0.0
    high: float = math.inf
    pairs: int = 0
    detectable: float = math.inf


@dataclass(frozen=True)
class Verdict(Interval):
    """One row's: `kind` is the kind of time that decides or that keeps the row open, the interval is that kind's."""

    state: State = "undecided"
    kind: str = FAMILIES[0][0]
    kinds: Mapping[str, Interval] = field(default_factory=dict)


def log_ratio(candidate: float, baseline: float) -> float:
    """log(candidate / baseline) of two times in seconds; ValueError for a time that is not positive and finite."""
    for who, seconds in (("candidate", candidate), ("baseline", baseline)):
        if not 0 < seconds < math.inf:
            raise ValueError(f"the {who} took {seconds} s: a time must be positive and finite")
    return math.log(candidate) - math.log(baseline)


class _Series:
    """The log ratios of one row in one kind of time, and the running evidence about them."""

    def __init__(self, shift: float) -> None:
        self.shift = shift
        self.values: list[float] = []
        self._sums = np.zeros((3, DENSITIES))
        self.evidence = [0.0, 0.0, 0.0]  # logarithms of the e-values against ratio <= 1, ratio >= 1 + T, ratio >= 1

    def add(self, value: float) -> None:
        self.values.append(value)
        self._sums += log_factors(np.array([value, self.shift - value, -value]), self.shift)
        self.evidence = log_mean_exp(self._sums).tolist()

    def interval(self, alpha: float, table_wide: float) -> Interval:
        if not self.values:
            return Interval()
        y = np.array(self.values)
        low, high = lower_bound(y, self.shift, alpha), -lower_bound(-y, self.shift, alpha)
        seen = detectable(y, self.shift, table_wide)
        return Interval(math.exp(centre(y)), math.exp(low), math.exp(high), len(y), math.exp(seen))


class Table:
    """The rows of one gate run and what is known of them so far."""

    def __init__(self, rows: Sequence[str], rule: Rule) -> None:
        """`rows`: the names of all that will be judged together; ValueError if there is none, or one twice."""
        if not rows:
            raise ValueError("a table needs at least one row")
        if repeated := sorted({row for row in rows if rows.count(row) > 1}):
            raise ValueError(f"rows named more than once: {', '.join(repeated)}")
        self.rule = rule
        self._rows: dict[str, dict[str, _Series]] = {row: {} for row in rows}

    def add(self, row: str, kind: str, log_ratio: float) -> None:
        """Adds one pair of processes: log(candidate / baseline) of `row` in one `kind` of time.

        Raises ValueError for an unknown row or kind, kinds that do not belong together, or a value that is not finite.
        """
        if row not in self._rows:
            raise ValueError(f"no row {row!r} in this table")
        family = next((family for family in FAMILIES if kind in family), None)
        if family is None:
            raise ValueError(f"{row}: unknown kind of time {kind!r}; known are {', '.join(LOOSER)}")
        if not math.isfinite(log_ratio):
            raise ValueError(f"{row}, {kind}: the log ratio of a pair is {log_ratio}: it must be finite")
        kinds = self._rows[row] = self._rows[row] or {name: _Series(self.rule.shift(row, name)) for name in family}
        if kind not in kinds:
            raise ValueError(f"{row}: {kind} time in a row of {' and '.join(kinds)} time")
        kinds[kind].add(log_ratio)

    def open_rows(self) -> list[str]:
        """The rows for which another pair is wanted, in the table's order: not decided, and `max_pairs` not reached.

        A row that is not slower but seems faster, at `alpha` though not yet over the table, is among them.
        """
        wanted = [row for row, kinds in self._standings().items() if _combined(kinds) in ("undecided", SEEMS_FASTER)]
        return [row for row in wanted if self._pairs(row) < self.rule.max_pairs]

    def states(self) -> dict[str, State]:
        """Each row's state after the pairs so far, in the table's order."""
        return {row: _state(_combined(kinds)) for row, kinds in self._standings().items()}

    def verdicts(self) -> dict[str, Verdict]:
        """Each row's verdict after the pairs so far, in the table's order."""
        table_wide, _ = self._levels()
        verdicts = {}
        for row, standings in self._standings().items():
            kinds = {kind: series.interval(self.rule.alpha, table_wide) for kind, series in self._rows[row].items()}
            row_standing = _combined(standings)
            kind = next((kind for kind, standing in standings.items() if standing == row_standing), None)
            verdicts[row] = (
                Verdict(**vars(kinds[kind]), state=_state(row_standing), kind=kind, kinds=kinds) if kind else Verdict()
            )
        return verdicts

    def exit_code(self) -> int:
        """1: some row is slower; 3: none is, but some row is undecided; 0: every row is not slower, or faster."""
        states = self.states().values()
        return 1 if "slower" in states else 3 if "undecided" in states else 0

    def _pairs(self, row: str) -> int:
        return max((len(series.values) for series in self._rows[row].values()), default=0)

    def _levels(self) -> tuple[float, float]:
        """Holm's levels over rows x kinds for "slower" and for "faster"; a row without a pair counts for two."""
        evidences = [series.evidence for kinds in self._rows.values() for series in kinds.values()]
        unseen = [-math.inf] * (2 * len(self._rows) - len(evidences))
        slower, _, faster = zip(*evidences, strict=True) if evidences else ((), (), ())
        return holm([*slower, *unseen], self.rule.alpha), holm([*faster, *unseen], self.rule.alpha)

    def _standings(self) -> dict[str, dict[str, Standing]]:
        """The standing of each row's kinds of time; empty for a row without a pair."""
        for_slower, for_faster = (-math.log(level) for level in self._levels())
        for_one_row = -math.log(self.rule.alpha)

        def standing(series: _Series) -> Standing:
            not_slower, beyond_threshold, not_faster = series.evidence
            if not_faster >= for_faster:
                return "faster"
            if not_faster >= for_one_row:
                return SEEMS_FASTER
            if beyond_threshold >= for_one_row:
                return "not slower"
            return "slower" if not_slower >= for_slower else "undecided"

        return {row: {kind: standing(series) for kind, series in kinds.items()} for row, kinds in self._rows.items()}


def _combined(kinds: Mapping[str, Standing]) -> Standing:
    """The standing of a row whose kinds of time stand so: that which most needs to be heard."""
    order: tuple[Standing, ...] = ("slower", "undecided", "faster", SEEMS_FASTER, "not slower")
    return next((standing for standing in order if standing in kinds.values()), "undecided")


def _state(standing: Standing) -> State:
    return "not slower" if standing == SEEMS_FASTER else standing
