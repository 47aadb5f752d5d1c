"""When is a row slower? Sequential tests of log ratios of time, one per pair of processes, for a table of rows.

**What is observed.** A pair is one process of the candidate and one of the baseline, started in an order that a fair
coin tosses anew for each pair. It yields for each row x = log(candidate's seconds / baseline's), one for each kind of
time. Rounds within a process are no observations: identical code differs between two processes for their whole life.

**What is decided.** With `threshold` T (the smallest slowdown that must be found) two statements are tested for each
row and kind, and pairs are drawn until one is refuted:

- ratio <= 1 ("no slower at all"). Refuted: the row is *slower*. Over the whole table at most `alpha` that any such
  statement which is true is refuted: Holm's procedure over rows x kinds. This is the false alarm.
- ratio >= 1 + T ("slower by the threshold or more"). Refuted for every kind: the row is *not slower*. For each row
  at most `alpha` that this happens to a row which is that slow. No correction is due: the table is green only if every
  row is, so a green table over a slow row is at most as likely (intersection-union test; Berger 1982, Technometrics 24).

One threshold with the interval on either side of it would be simpler, but a slowdown of exactly T could then never be
found, and half-way between "equal" and T four times as many pairs would be needed. A true ratio between 1 and 1 + T
may end either way (below T / 2 nearly always *not slower*); the interval that is shown says what it is. If both
statements are refuted, the row is slower by less than T, hence *not slower*. *Faster* refutes ratio >= 1, table-wide
like *slower*. What is not decided is *undecided*, which is never green.

**Kinds of time.** CPU time (device time) leads. Wall time (host time) sees what waits, such as a lock, and is noisier
by about a factor of two, so that its threshold is twice as large (`LOOSER`): it too must be shown to be not slower.

**How.** If the builds are equal, tossing the order makes x exactly symmetric about 0, however heavy its tails, whatever
its modes and drift, and whatever happened in earlier pairs. Given |x| its sign is then a fair coin, and
e(x) = 2 f(x - d) / (f(x - d) + f(x + d)) has mean 1 for every density f: products of such factors over pairs, averaged
over several f, are a nonnegative martingale that reaches 1 / a with probability at most a at any time (Ville's inequality).
So one may look after each pair and stop at will. A slowdown by a constant factor moves the centre of symmetry, and the
same holds there. See Vovk & Wang, "Nonparametric e-tests of symmetry", 2024, sections 4 and 5, and Ramdas, Ruf, Larsson
& Koolen, "Admissible anytime-valid sequential inference must rely on nonnegative martingales", 2020, on symmetry.
f is the logistic density: it is log-concave, so e(x) grows with x and the test holds for all ratios beyond the tested one,
and its log ratio is bounded, so that no single pair weighs much. The centre is d = log(1 + T) or half of that, the
scale runs over SCALES x d, all with equal weight: no scale is estimated, no order of pairs matters.
Fewer than log2(1 / a) pairs never decide, nor should they: so many equal signs are chance.
`selftests/gate_power.py` compares this with group-sequential t-tests and the t-mixture by simulation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

State = Literal["slower", "not slower", "faster", "undecided"]

FAMILIES = (("cpu", "wall"), ("device", "host"))  # the leading kind of time, then the one that also sees waiting
LOOSER = {"cpu": 1.0, "wall": 2.0, "device": 1.0, "host": 2.0}  # the kind's threshold, in units of the row's
SEEMS_FASTER = "seems faster"  # at `alpha`, but not over the whole table
SCALES = (0.1, 0.2, 0.4, 0.8, 1.6)  # of the logistic density, in units of log(1 + threshold)


@dataclass(frozen=True)
class Rule:
    """What is called slower. `threshold`, `thresholds` (by row) are relative: 0.05 is 5 %; `alpha` is for the table.

    Raises ValueError for a threshold that is not positive, an alpha outside (0, 0.5], or fewer than one pair.
    """

    threshold: float = 0.05
    alpha: float = 0.01
    max_pairs: int = 100
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for row, threshold in [("the table", self.threshold), *self.thresholds.items()]:
            if not 0 < threshold < math.inf:
                raise ValueError(f"threshold of {row} is {threshold}: it must be positive, such as 0.05 for 5 %")
        if not 0 < self.alpha <= 0.5:
            raise ValueError(f"alpha is {self.alpha}: it must be above 0 and at most 0.5, such as 0.01 for 1 %")
        if self.max_pairs < 1:
            raise ValueError(f"max_pairs is {self.max_pairs}: at least one pair is needed")

    def shift(self, row: str, kind: str) -> float:
        """log(1 + threshold) for this row and kind of time."""
        return math.log1p(LOOSER[kind] * self.thresholds.get(row, self.threshold))


@dataclass(frozen=True)
class Interval:
    """Of the ratio candidate / baseline of one kind of time; 0 and inf where the pairs do not bound it yet.

    `low` errs with the table-wide level of Holm's procedure, `high` with alpha, at whatever pair one stops.
    `detectable` is the smallest ratio that as many pairs, as noisy as these, call slower in about 95 %.
    """

    estimate: float
    low: float
    high: float
    pairs: int
    detectable: float


UNSEEN = Interval(estimate=math.nan, low=0.0, high=math.inf, pairs=0, detectable=math.inf)


@dataclass(frozen=True)
class Verdict:
    """One row's: `kind` of time is the one that decides (or keeps it open), `low` to `detectable` are its interval."""

    state: State
    kind: str
    estimate: float
    low: float
    high: float
    pairs: int
    detectable: float
    kinds: Mapping[str, Interval]


def log_ratio(candidate: float, baseline: float) -> float:
    """log(candidate / baseline) of two times in seconds; ValueError for a time that is not positive and finite."""
    for who, time in (("candidate", candidate), ("baseline", baseline)):
        if not 0 < time < math.inf:
            raise ValueError(f"{who} took {time} s: a time must be positive and finite")
    return math.log(candidate) - math.log(baseline)


def terms(y: NDArray[np.float64], shift: float) -> NDArray[np.float64]:
    """Logarithms of the factors e(y) against "centre <= 0", one for each density, along a new last axis."""
    shifts, scales = (grid.ravel() for grid in np.meshgrid((shift, shift / 2), shift * np.array(SCALES)))
    z = np.abs((y[..., None, None] - [[1], [-1]] * shifts) / scales)
    log_density = -z - 2 * np.log1p(np.exp(-z))
    return math.log(2) - np.logaddexp(0, log_density[..., 1, :] - log_density[..., 0, :])


def log_mean_exp(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(mean(exp(logs))) over the last axis, without overflow."""
    largest = logs.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(logs - largest).mean(axis=-1)) + largest[..., 0])


def log_evidence(y: NDArray[np.float64], shift: float) -> float:
    """Logarithm of the e-value of `y`, one value a pair, against "the centre of symmetry is <= 0"."""
    return float(log_mean_exp(terms(y, shift).sum(axis=0)))


def lower_bound(y: NDArray[np.float64], shift: float, level: float) -> float:
    """The largest centre that is refuted from below at `level`; -inf if none is."""
    wanted = -math.log(level)
    lowest, highest = float(y.min()) - 100 * shift, float(y.max())
    if log_evidence(y - lowest, shift) <= wanted:
        return -math.inf
    return float(brentq(lambda centre: log_evidence(y - centre, shift) - wanted, lowest, highest))


def holm(log_evidences: Iterable[float], alpha: float) -> float:
    """The level at which Holm's procedure ends: hypotheses with an e-value of at least 1 / level are rejected.

    Holm 1979, Scandinavian Journal of Statistics 6, with the p-values 1 / e, valid at any stopping time.
    """
    evidences = list(log_evidences)
    rejected = -1
    level = alpha / len(evidences)
    while (now := sum(evidence >= -math.log(level) for evidence in evidences)) > rejected:
        rejected = now
        level = alpha / max(1, len(evidences) - rejected)
    return level


class _Series:
    """The log ratios of one row and kind of time, and the running evidence for the three statements about them."""

    def __init__(self, shift: float) -> None:
        self.shift = shift
        self.values: list[float] = []
        self._sums = np.zeros((3, 2 * len(SCALES)))

    def add(self, value: float) -> None:
        self.values.append(value)
        self._sums += terms(np.array([value, self.shift - value, -value]), self.shift)

    def evidence(self) -> tuple[float, float, float]:
        """Logarithms of the e-values against ratio <= 1, against ratio >= 1 + threshold, and against ratio >= 1."""
        slower, below_threshold, faster = log_mean_exp(self._sums)
        return float(slower), float(below_threshold), float(faster)

    def interval(self, level: float, alpha: float) -> Interval:
        y, pairs = np.array(self.values), len(self.values)
        if not pairs:
            return UNSEEN
        first, second = np.triu_indices(pairs)
        centre = float(
            np.median((y[first] + y[second]) / 2)
        )  # Hodges & Lehmann 1963, Annals of Mathematical Statistics 34
        low, high = lower_bound(y, self.shift, level), -lower_bound(-y, self.shift, alpha)
        scatter = float(y.std(ddof=1)) / math.sqrt(pairs) if pairs > 1 else math.inf
        detectable = centre - low + float(norm.ppf(0.95)) * scatter
        return Interval(math.exp(centre), math.exp(low), math.exp(high), pairs, math.exp(detectable))


class Table:
    """The rows of one gate run and what is known of them so far."""

    def __init__(self, rows: Sequence[str], rule: Rule) -> None:
        """`rows`: the names of all rows that will be judged together; ValueError if there is none or one twice."""
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
            raise ValueError(f"{row}: unknown kind of time {kind!r}; known: {', '.join(sum(FAMILIES, ()))}")
        if not math.isfinite(log_ratio):
            raise ValueError(f"{row}, {kind}: the log ratio of a pair is {log_ratio}; it must be finite")
        series = self._rows[row] = self._rows[row] or {kind: _Series(self.rule.shift(row, kind)) for kind in family}
        if kind not in series:
            raise ValueError(f"{row}: {kind} time beside {' and '.join(series)} time")
        series[kind].add(log_ratio)

    def open_rows(self) -> list[str]:
        """The rows for which another pair is wanted, in the table's order: not decided, and pairs are left.

        A row that is not slower and seems faster, at `alpha` but not yet table-wide, is among them.
        """
        return [
            row
            for row, states in self._states().items()
            if max((len(series.values) for series in self._rows[row].values()), default=0) < self.rule.max_pairs
            and (
                _row_state(states) == "undecided"
                or (_row_state(states) == "not slower" and SEEMS_FASTER in states.values())
            )
        ]

    def verdicts(self) -> dict[str, Verdict]:
        """Each row's verdict after the pairs so far, in the table's order."""
        level, _ = self._levels()
        verdicts = {}
        for row, states in self._states().items():
            state = _row_state(states)
            kinds = {kind: series.interval(level, self.rule.alpha) for kind, series in self._rows[row].items()}
            deciding = next((kind for kind in kinds if states[kind] == state), next(iter(kinds), FAMILIES[0][0]))
            shown = kinds.get(deciding, UNSEEN)
            verdicts[row] = Verdict(
                state, deciding, shown.estimate, shown.low, shown.high, shown.pairs, shown.detectable, kinds
            )
        return verdicts

    def exit_code(self) -> int:
        """0: every row is not slower or faster; 1: at least one is slower; 3: none is slower, at least one undecided."""
        states = {_row_state(states) for states in self._states().values()}
        return 1 if "slower" in states else 3 if "undecided" in states else 0

    def _levels(self) -> tuple[float, float]:
        """Holm's levels for "slower" and for "faster"; kinds that were never seen count as hypotheses too."""
        evidences = [series.evidence() for row in self._rows.values() for series in row.values()]
        unseen = [-math.inf] * (2 * len(self._rows) - len(evidences))
        return (
            holm([slower for slower, _, _ in evidences] + unseen, self.rule.alpha),
            holm([faster for _, _, faster in evidences] + unseen, self.rule.alpha),
        )

    def _states(self) -> dict[str, dict[str, str]]:
        """The state of each row's kinds of time; empty for a row without a pair."""
        slower_level, faster_level = self._levels()
        alpha = self.rule.alpha

        def state(series: _Series) -> str:
            slower, below_threshold, faster = series.evidence()
            if faster >= -math.log(faster_level):
                return "faster"
            if faster >= -math.log(alpha):
                return SEEMS_FASTER
            if below_threshold >= -math.log(alpha):
                return "not slower"
            return "slower" if slower >= -math.log(slower_level) else "undecided"

        return {row: {kind: state(series) for kind, series in kinds.items()} for row, kinds in self._rows.items()}


def _row_state(kinds: Mapping[str, str]) -> State:
    """The row's state, given those of its kinds of time."""
    states = set(kinds.values())
    if "slower" in states:
        return "slower"
    if not states or "undecided" in states:
        return "undecided"
    return "faster" if "faster" in states else "not slower"
