"""The pairs of one run: draws them while rows are open and time is left, and keeps what they say."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torchclaims.gate import BASELINE, CANDIDATE, SIDES
from torchclaims.gate.decision import Rule, Table, Verdict
from torchclaims.gate.life import Result
from torchclaims.gate.pairs import Pair

TRIES = 3  # failures of one row on one side after which it is left

# States of a row beside those that the decision knows.
NEW, FAILED, INCOMPARABLE = FATES = ("new", "failed", "not comparable")

Draw = Callable[[Sequence[str], dict[str, Sequence[str]]], Pair | None]


@dataclass(frozen=True)
class Fate:
    """What became of a row that cannot be compared, and why."""

    state: str
    reason: str


@dataclass(frozen=True)
class Void:
    """A process that ended badly: its pair, from 1, its side, the row that it was at, and how it ended."""

    pair: int
    side: str
    row: str | None
    reason: str


@dataclass(frozen=True)
class Finding:
    """Results that are wrong or differ between the builds; ``is_red`` unless the candidate's is the right one."""

    row: str
    text: str
    is_red: bool


@dataclass
class Campaign:
    """One run of the gate. ``draw(rows, checks)`` gives the next pair, or None where a stored run has no more."""

    rows: Sequence[str]
    rule: Rule
    draw: Draw
    budget: float
    records: bool = False  # every row in every pair, decided or not
    clock: Callable[[], float] = time.monotonic
    pairs: list[Pair] = field(default_factory=list)
    voids: list[Void] = field(default_factory=list)
    fates: dict[str, Fate] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    ended: str = ""  # why no more pairs were drawn

    def __post_init__(self) -> None:
        self.table = Table(self.rows, self.rule)
        self._results: dict[str, dict[str, Result]] = {side: {} for side in SIDES}
        self._works: set[tuple[str, str]] = set()
        self._absent: dict[tuple[str, str], str] = {}
        self._failures: Counter[tuple[str, str | None]] = Counter()
        self._reasons: dict[tuple[str, str | None], str] = {}
        self._died: set[tuple[str, str | None]] = set()

    def open_rows(self) -> list[str]:
        """The rows that more pairs could still decide."""
        return [row for row in (self.rows if self.records else self.table.open_rows()) if row not in self.fates]

    def run(self, progress: Callable[[Campaign], None]) -> None:
        """Draws pairs until every row is decided, or the next pair would end after the budget's seconds."""
        started = self.clock()
        while rows := self.open_rows():
            if self.pairs and self.seconds + self._length_of_a_pair() > self.budget:
                self.ended = "the budget ended"
                return
            checks: dict[str, Sequence[str]] = {
                side: [row for row in rows if row not in self._results[side]] for side in SIDES
            }
            pair = self.draw(rows, checks)
            if pair is None:
                self.ended = "the stored run has no more processes"
                return
            self.take(pair)
            self.seconds = self.clock() - started
            progress(self)
        self.ended = "no row is open"

    def take(self, pair: Pair) -> None:
        """Notes one pair: its figures, unless one of its processes ended badly, and what failed."""
        self.pairs.append(pair)
        for side, life in pair.lives.items():
            if life.void:
                self.voids.append(Void(len(self.pairs), side, life.row, life.void))
                self._died.add((side, life.row))
                self._fail(side, life.row, life.void)
            for row, reason in life.errors.items():
                self._fail(side, row, reason)
            self._absent |= {(side, row): reason for row, reason in life.absent.items()}
            self._works |= {(side, row) for row in life.visits}
            self._results[side] |= life.results
            for row in life.results:
                self._compare(row)
        for row in pair.rows():
            for kind, ratios in pair.log_ratios(row).items():
                self.table.add(row, kind, statistics.median(ratios))
        for row in self.open_rows():
            self._settle(row)

    def is_absent(self, row: str) -> bool:
        """Whether neither side has the row."""
        return all((side, row) in self._absent for side in SIDES)

    def verdicts(self) -> dict[str, Verdict]:
        """The decision on each row that could be compared."""
        return {row: verdict for row, verdict in self.table.verdicts().items() if row not in self.fates}

    def medians(self, row: str, kind: str) -> dict[str, float]:
        """Seconds a call on each side: the median over the processes of the pairs that count."""
        lives = [pair.lives for pair in self.pairs if row in pair.rows()]
        return {side: statistics.median(both[side].median(row, kind) for both in lives) for side in SIDES}

    def _fail(self, side: str, row: str | None, reason: str) -> None:
        self._failures[side, row] += 1
        self._reasons[side, row] = reason

    def _compare(self, row: str) -> None:
        """Adds a finding where the results of ``row``, known on both sides, are not the same."""
        if not all(row in self._results[side] for side in SIDES):
            return
        baseline, candidate = (self._results[side][row] for side in SIDES)
        for side, result in zip(SIDES, (baseline, candidate), strict=True):
            if result.wrong is not None:
                self.findings.append(Finding(row, f"the {side}'s {result.wrong}", side == CANDIDATE))
        allowed = baseline.allowed + candidate.allowed
        if len(baseline.digest) != len(candidate.digest):
            self.findings.append(Finding(row, "the results differ in shape", True))
        elif baseline.wrong is None and candidate.wrong is None:
            for one, other in zip(baseline.digest, candidate.digest, strict=True):
                if not _distance(one, other) <= allowed:
                    text = f"the results differ by {_distance(one, other):.2g}, allowed {allowed:.2g}"
                    self.findings.append(Finding(row, text, True))
                    break

    def _settle(self, row: str) -> None:
        """Leaves a row that has failed, or is missing, too often to be compared."""
        reasons = {side: reason for side in SIDES if (reason := self._hopeless(side, row)) is not None}
        if not reasons or any(side not in reasons and (side, row) not in self._works for side in SIDES):
            return  # or not yet: the other side has still to show what it does
        text = "; ".join(f"{side}: {reason}" for side, reason in reasons.items())
        if set(reasons) == {CANDIDATE}:
            self.fates[row] = Fate(FAILED, text)
        elif set(reasons) == {BASELINE} and not self._has_died(BASELINE, row):
            self.fates[row] = Fate(NEW, text)
        else:
            self.fates[row] = Fate(INCOMPARABLE, text)

    def _hopeless(self, side: str, row: str) -> str | None:
        if (side, row) in self._absent:
            return self._absent[side, row]
        for key in ((side, row), (side, None)):
            if self._failures[key] >= TRIES:
                return f"{self._reasons[key]} ({self._failures[key]} times)"
        return None

    def _has_died(self, side: str, row: str) -> bool:
        return not self._died.isdisjoint({(side, row), (side, None)})

    def _length_of_a_pair(self) -> float:
        """Seconds that the next pair may take; the first, which checks results too, says little of the second."""
        return min((pair.seconds for pair in self.pairs[1:][-2:]), default=0.0)


def _distance(one: float, other: float) -> float:
    return 0.0 if one == other or (math.isnan(one) and math.isnan(other)) else abs(one - other)
