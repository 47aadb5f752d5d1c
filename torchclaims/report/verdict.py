"""From records of cells to the verdict on claims, and its JSON form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from torchclaims import documentation
from torchclaims.catalogue import BENCHMARKS, Catalogue, Claim
from torchclaims.deviations import Deviation
from torchclaims.report import record

SCHEMA = "torchclaims-verdict-2"

HOLDS, DEVIATES, BROKEN, INAPPLICABLE, NOT_EXERCISED = STATES = (
    "holds",
    "deviates",
    "broken",
    "does not apply",
    "not exercised",
)


@dataclass
class Verdict:
    """What a run found out about each claim that it selected.

    ``deviations`` are the entries that a test of this run could match; ``whole`` are the claims all of whose tests were
    collected, in all the dtypes that they are made for.
    """

    catalogue: Catalogue
    deviations: list[Deviation] = field(default_factory=list)
    whole: set[str] = field(default_factory=set)
    selected: set[str] = field(default_factory=set)
    records: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    proofs: list[dict[str, Any]] = field(default_factory=list)
    false_alarm_rate: float = 0.0

    def add(self, cell: dict[str, Any]) -> None:
        """Takes the record of one test in one cell."""
        self.false_alarm_rate += cell["false_alarm_rate"]
        for name in cell["claims"]:
            self.records.setdefault(name, []).append(cell)

    def cells(self) -> Iterator[dict[str, Any]]:
        """The records of all cells that ran; one that decides several claims comes once for each."""
        for cells in self.records.values():
            yield from (cell for cell in cells if cell["outcome"] != record.INAPPLICABLE)

    def state(self, name: str) -> str:
        """What the cells say together: one failure breaks a claim, no cell that ran leaves it unexercised."""
        outcomes = Counter(cell["outcome"] for cell in self.records.get(name, []))
        if outcomes[record.FAILED]:
            return BROKEN
        if self.missing_cells(name):
            return NOT_EXERCISED
        if outcomes[record.DEVIATES]:
            return DEVIATES
        if outcomes[record.PASSED]:
            return HOLDS
        if outcomes[record.INAPPLICABLE] and not outcomes[record.SKIPPED]:
            return INAPPLICABLE
        return NOT_EXERCISED

    def missing_cells(self, name: str) -> int:
        """How many cells a claim lacks of those it states to have; one that does not apply is not lacking."""
        accounted_for = sum(cell["outcome"] != record.SKIPPED for cell in self.records.get(name, []))
        return max(0, self.catalogue.claims[name].cells - accounted_for) if name in self.whole else 0

    def faulty_deviations(self, today: date) -> list[str]:
        """Entries that are past their date, or that no test of a whole run matched; a line each."""
        matched = {cell["deviation"] for cells in self.records.values() for cell in cells}
        lines = []
        for one in self.deviations:
            if one.claim not in self.selected:
                continue
            if one.review < today:
                lines.append(f"{one.origin}: was to be looked at again by {one.review}; look, and set a new date")
            if one.claim in self.whole and one.origin not in matched:
                lines.append(f"{one.origin}: matches no test of this run; delete it, or mend its cells")
        return lines

    def in_state(self, state: str) -> list[Claim]:
        """The selected claims in ``state``, in the catalogue's order."""
        return [
            one for one in self.catalogue.claims.values() if one.id in self.selected and self.state(one.id) == state
        ]

    def counts(self, claims: Iterable[Claim]) -> Counter[str]:
        """How many of ``claims`` are in each state."""
        return Counter(self.state(one.id) for one in claims)

    @property
    def is_green(self) -> bool:
        """Whether nothing is broken, nothing selected went unexercised, every deviation is in order, something ran.

        Benchmarks may leave every claim undecided: that noise hides the answers is said, and is no finding.
        """
        if self.faulty_deviations(date.today()):
            return False
        counts = self.counts(self.catalogue.claims[name] for name in self.selected)
        timed = all(self.catalogue.claims[name].room == BENCHMARKS for name in self.selected)
        return not counts[BROKEN] and not counts[NOT_EXERCISED] and bool(counts[HOLDS] or counts[DEVIATES] or timed)

    def documentation_changes(self) -> list[str]:
        """Notes on documented objects, of claims that apply here, whose docstring lost a pinned term."""
        applying = [one for one in self.catalogue.claims.values() if self._applies(one.id)]
        return list(documentation.changes(self.catalogue, applying))

    def _applies(self, name: str) -> bool:
        return name in self.selected and self.state(name) != INAPPLICABLE

    def tolerance_used(self, claims: Iterable[Claim]) -> float | None:
        """The largest share of an allowed error that any passing cell of ``claims`` used."""
        shares = (cell["tolerance_used"] for one in claims for cell in self.records.get(one.id, []))
        return max((share for share in shares if share is not None), default=None)

    def to_json(self, environment: dict[str, Any]) -> dict[str, Any]:
        """The verdict as plain values, of the form that ``verdict.schema.json`` describes."""
        claims = [one for one in self.catalogue.claims.values() if one.id in self.selected]
        counts = self.counts(claims)
        return {
            "schema": SCHEMA,
            **environment,
            "counts": {state: counts[state] for state in STATES},
            "false_alarm_rate": self.false_alarm_rate,
            "claims": [self._claim_to_json(one) for one in claims],
            "deviations": [_deviation_to_json(one) for one in self.deviations if one.claim in self.selected],
            "faulty_deviations": self.faulty_deviations(date.today()),
            "documentation_changed": self.documentation_changes(),
            "proofs": sorted(self.proofs, key=lambda proof: (proof["claim"], proof["fault"])),
        }

    def _claim_to_json(self, one: Claim) -> dict[str, Any]:
        cells = sorted(self.records.get(one.id, []), key=lambda cell: (cell["test"], cell["cell"]))
        keys = ("test", "cell", "outcome", "reason", "raised", "deviation", "seconds", "tolerance_used", "reproduce")
        outcomes = Counter(cell["outcome"] for cell in cells)
        return {
            "id": one.id,
            "room": one.room.as_posix(),
            "statement": one.statement,
            "truth": one.truth,
            "verdict": one.verdict,
            "sources": list(one.sources),
            "articles": list(one.articles),
            "oracle": one.oracle,
            "since": str(one.since),
            "state": self.state(one.id),
            "least_cells": one.cells,
            "outcomes": {outcome: outcomes[outcome] for outcome in record.OUTCOMES},
            "cells": [{key: cell[key] for key in keys} for cell in cells],
        }


def _deviation_to_json(one: Deviation) -> dict[str, Any]:
    texts = {key: getattr(one, key) for key in ("origin", "claim", "raises", "message", "reason", "link", "script")}
    return {**texts, "torch": str(one.torch), "review": one.review.isoformat()}
