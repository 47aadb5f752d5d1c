"""The record of one test in one cell, which travels with pytest's report, also between pytest-xdist's processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from torchclaims.catalogue import Claim
from torchclaims.deviations import Deviation

PASSED, FAILED, DEVIATES, INAPPLICABLE, SKIPPED = OUTCOMES = (
    "passed",
    "failed",
    "deviates",
    "does not apply",
    "skipped",
)


def annotate(
    report: pytest.TestReport,
    claims: Sequence[Claim],
    cell: str,
    raised: pytest.ExceptionInfo[BaseException] | None,
    deviation: Deviation | None,
    *,
    tolerance_used: float | None,
    false_alarm_rate: float,
    reproduce: str,
    seed: int,
) -> None:
    """Adds ``report.torchclaims``, a dict of plain values, where this phase decides the cell's outcome.

    To the report of a failure it adds a section with the claim, the cell, the seed and the line that reproduces it.
    """
    outcome = _outcome(report)
    if outcome is None:
        return
    if outcome == DEVIATES and deviation is None:
        outcome = FAILED  # an expected failure that no deviations file states
    if deviation and outcome == FAILED:
        _explain(report, deviation, raised is None)
    record = _record(report, [one.id for one in claims], cell, outcome) | {
        # A failure by assertion, or an expected one that did not come, is the test's own finding; anything else may be
        # a crash of the test itself.
        "asserted": raised is None or isinstance(raised.value, (AssertionError, pytest.fail.Exception)),
        "raised": None if raised is None else _name(raised.type),
        "deviation": deviation.origin if deviation else None,
        "tolerance_used": tolerance_used,
        "false_alarm_rate": false_alarm_rate,
        "reproduce": reproduce,
    }
    report.torchclaims = record  # type: ignore[attr-defined]
    if outcome == FAILED:
        lines = [f"{one.id}: {one.asserted} ({', '.join((*one.sources, *one.articles))})" for one in claims]
        lines += [f"cell {cell}, seed {seed}, in {report.when}", reproduce]
        report.sections.append(("claim", "\n".join(lines)))


def _explain(report: pytest.TestReport, deviation: Deviation, passed: bool) -> None:
    if passed:
        report.longrepr = (
            f"the expected deviation did not happen: {deviation.reason}\n"
            f"delete {deviation.origin}, or narrow its cells or releases"
        )
    else:
        text = f"{deviation.origin}: {deviation.raises} matching {deviation.message!r}"
        report.sections.append(("expected deviation, not this one", text))


def _name(kind: type[BaseException]) -> str:
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def of_a_crash(report: pytest.TestReport, claims: Sequence[str], seed: int) -> dict[str, Any]:
    """The record of a test whose process died: pytest-xdist reports it, without what the process would have added."""
    cell = report.nodeid.partition("[")[2].rstrip("]") or "host"
    return _record(report, list(claims), cell, FAILED) | {"reproduce": f"pytest '{report.nodeid}' --seed {seed}"}


def _record(report: pytest.TestReport, claims: list[str], cell: str, outcome: str) -> dict[str, Any]:
    return {
        "claims": claims,
        "test": report.nodeid,
        "cell": cell,
        "outcome": outcome,
        "seconds": report.duration,
        "asserted": False,
        "raised": None,
        "deviation": None,
        "tolerance_used": None,
        "false_alarm_rate": 0.0,
        "reason": _reason(report),
    }


def _outcome(report: pytest.TestReport) -> str | None:
    if hasattr(report, "wasxfail"):
        return DEVIATES if report.skipped else FAILED
    if report.failed:
        return FAILED
    if report.skipped:
        return INAPPLICABLE if _reason(report).startswith(INAPPLICABLE) else SKIPPED
    return PASSED if report.when == "call" else None


def _reason(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail)
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        return str(crash.message) if crash else report.longreprtext
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return ""
