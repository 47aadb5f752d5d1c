"""The verdict's face on the terminal: header, last lines, exit code; and ``--list-claims``."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from torchclaims.catalogue import MODES, Catalogue, Claim
from torchclaims.deviations import Deviation
from torchclaims.report import record
from torchclaims.report.files import ReportError, check_writable, write
from torchclaims.report.verdict import (
    BROKEN,
    DEVIATES,
    HOLDS,
    INAPPLICABLE,
    NOT_EXERCISED,
    STATES,
    Verdict,
)

JSON_OPTION = "--claims-json"

# Claims of one state that the terminal lists; a build on which everything fails should not scroll its summary away.
LISTED = 25


def print_catalogue(catalogue: Catalogue, chosen: frozenset[str]) -> None:
    """Prints the ``chosen`` claims room by room: id, where it is said, the sentence, what became of it."""
    encoding = sys.stdout.encoding or "utf-8"
    for line in _listing(catalogue, chosen):
        print(line.encode(encoding, "backslashreplace").decode(encoding))


def _listing(catalogue: Catalogue, chosen: frozenset[str]) -> Iterator[str]:
    tests, faults = (
        Counter(name for mention in mentions for name in mention.claims)
        for mentions in (catalogue.tests, catalogue.faults)
    )
    room = None
    for one in catalogue.claims.values():
        if one.id not in chosen:
            continue
        if one.room != room:
            room = one.room
            yield f"\n{room.as_posix()}"
        said = ", ".join([*one.sources, *(f"article {passage}" for passage in one.articles)])
        yield f"  {one.id}  [{said}]  {one.oracle}, tests {tests[one.id]}, faults {faults[one.id]}"
        yield f"      {one.statement}"
        if one.verdict:
            yield f"      {one.verdict}" + (f": {one.truth}" if one.truth else "")
    for article in catalogue.articles.values():
        if not any(passage.startswith(article.id) for name in chosen for passage in catalogue.claims[name].articles):
            continue
        yield f"\narticle {article.id}: {article.title}" + (f"  {article.url}" if article.url else "")
        for number, reason in article.undecided.items():
            yield f"  {article.id}-{number:02} cannot be decided: {reason}"
    yield f"\n{len(chosen)} claims"


class Reporter:
    """Collects the records of all processes, says the verdict and sets the exit code."""

    def __init__(self, config: pytest.Config, catalogue: Catalogue, deviations: list[Deviation]) -> None:
        self.config = config
        self.deviations = deviations
        self.verdict = Verdict(catalogue)
        self.started = time.time()
        self.interrupted = False
        self.report_error: str | None = None
        self.environment: dict[str, Any] = {}
        self.json_path = Path(config.option.claims_json) if config.option.claims_json is not None else None
        if self.json_path is not None:
            try:
                check_writable(JSON_OPTION, self.json_path)
            except ReportError as error:
                raise pytest.UsageError(str(error)) from None
            end_on_sigterm(config)

    def pytest_sessionstart(self) -> None:
        """Looks at the machine, once the plugin has found the targets."""
        from torchclaims.plugin import TARGETS
        from torchclaims.report.environment import describe

        targets = self.config.stash[TARGETS]
        self.environment = describe(targets)
        claims = self.verdict.catalogue.claims
        self.verdict.deviations = [one for one in self.deviations if targets.could_meet(one, claims[one.claim])]

    def pytest_report_header(self, config: pytest.Config) -> list[str]:
        """torch, devices, threads and seed."""
        from torchclaims.report.environment import header

        workers = config.getoption("numprocesses", None) or 0
        return header(self.environment, config.option.seed, workers)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """In one process: the selected claims are those of the collected tests."""
        self._select(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """With workers: likewise, by the names that a worker sends."""
        self._select(ids)

    def _select(self, nodeids: Iterable[str]) -> None:
        nodeids = list(nodeids)
        self.verdict.whole = self._whole({nodeid.partition("[")[0] for nodeid in nodeids})
        for nodeid in nodeids:
            if self.config.option.prove:
                self.verdict.selected.add(nodeid.rpartition("[")[2].rstrip("]"))
            else:
                self.verdict.selected.update(self.verdict.catalogue.claims_of(nodeid))

    def _whole(self, functions: set[str]) -> set[str]:
        """The claims all of whose tests were collected, in all the dtypes that they are made for."""
        options = self.config.option
        parts_of_tests = any("[" in argument for argument in self.config.args)
        if options.prove or options.keyword or options.markexpr or options.deselect or options.dtype or parts_of_tests:
            return set()
        tests = {f"{test.path.as_posix()}::{test.function}": test for test in self.verdict.catalogue.tests}
        lacking = {name for key, test in tests.items() if key not in functions for name in test.claims}
        return set(self.verdict.catalogue.claims) - lacking

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes what the processes that ran the tests recorded."""
        claims = self.verdict.catalogue.claims_of(report.nodeid)
        if hasattr(report, "torchclaims"):
            self.verdict.add(report.torchclaims)
        elif report.failed and claims:
            self.verdict.add(record.of_a_crash(report, claims, self.config.option.seed))
        if hasattr(report, "torchclaims_proof"):
            self.verdict.proofs.append(report.torchclaims_proof)

    def pytest_keyboard_interrupt(self) -> None:
        """An interrupted run says so in its report."""
        self.interrupted = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Red if a claim is broken or went unexercised; writes the reports."""
        if exitstatus == pytest.ExitCode.OK and self.verdict.selected and not self._is_green():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self.json_path is not None and self.environment:
            document = self.verdict.to_json(
                self.environment
                | {
                    "seed": self.config.option.seed,
                    "started": datetime.fromtimestamp(self.started, timezone.utc).isoformat(timespec="seconds"),
                    "seconds": round(time.time() - self.started, 3),
                    "interrupted": self.interrupted,
                }
            )
            try:
                write(JSON_OPTION, self.json_path, json.dumps(document, indent=1, allow_nan=False) + "\n")
            except ReportError as error:
                self.report_error = str(error)
                session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def _is_green(self) -> bool:
        if self.config.option.prove:
            return not self._unproven()
        return self.config.option.collectonly or self.verdict.is_green

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The last lines: claims counted."""
        if self.verdict.selected and not self.config.option.collectonly:
            terminalreporter.section("claims")
            self._summarise_proofs(terminalreporter) if self.config.option.prove else self._summarise(terminalreporter)
        if self.report_error:
            terminalreporter.write_line(f"ERROR: {self.report_error}", red=True)
        elif self.json_path is not None:
            terminalreporter.write_line(f"verdict written to {self.json_path}")

    def _summarise(self, terminal: pytest.TerminalReporter) -> None:
        selected = [one for one in self.verdict.catalogue.claims.values() if one.id in self.verdict.selected]
        write_table(terminal, self._table(selected))
        for state in (BROKEN, NOT_EXERCISED):
            claims = self.verdict.in_state(state)
            for one in claims[:LISTED]:
                terminal.write_line(f"{state}: {one.id}: {one.asserted}", red=True)
                if missing := self.verdict.missing_cells(one.id):
                    terminal.write_line(f"    {missing} of at least {one.cells} cells did not run")
                for cell in self._cells(one, record.FAILED)[:3]:
                    terminal.write_line(f"    {cell['cell']}: {cell['reproduce']}")
            if len(claims) > LISTED:
                more = f"{state}: {len(claims) - LISTED} more; {JSON_OPTION}=FILE keeps them all"
                terminal.write_line(more, red=True)
        for line in self.verdict.faulty_deviations(date.today()):
            terminal.write_line(line, red=True)
        self._write_deviations(terminal)
        notes = self.verdict.documentation_changes()
        if len(notes) > LISTED and self.config.option.verbose <= 0:
            notes = [f"{len(notes)} documented objects have lost a term that is pinned; -v lists them"]
        for note in notes:
            terminal.write_line(f"the documentation changed here: {note}", yellow=True)
        for reason, names in self._reasons_not_to_apply().items():
            named = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            terminal.write_line(f"{INAPPLICABLE}: {len(names)} claims ({named}): {reason}")
        verdicts = Counter(one.verdict for one in selected if one.verdict and self.verdict.state(one.id) == HOLDS)
        if verdicts:
            terminal.write_line(
                "of what the articles say, confirmed here: "
                + ", ".join(f"{verdicts[key]} {text}" for key, text in _VERDICT_TEXTS.items() if verdicts[key])
            )
        terminal.write_line(
            f"seed {self.config.option.seed}; chance that a test of chance rang falsely in this run: at most"
            f" {self.verdict.false_alarm_rate:.1g}"
        )
        for mode in MODES[1:]:
            seconds = {cell["test"]: cell["seconds"] for cell in self.verdict.cells() if f"-{mode}" in cell["cell"]}
            if seconds:
                dearest = max(seconds, key=seconds.__getitem__)
                terminal.write_line(
                    f"{mode}: {len(seconds)} cells took {sum(seconds.values()):.0f} s, compiling included;"
                    f" the dearest, {dearest}, {seconds[dearest]:.1f} s"
                )
        counts = self.verdict.counts(selected)
        terminal.write_line(
            f"{len(selected)} claims: {counts[HOLDS]} hold, {counts[DEVIATES]} deviate, {counts[BROKEN]} broken,"
            f" {counts[NOT_EXERCISED]} not exercised"
            + (f", {counts[INAPPLICABLE]} do not apply" if counts[INAPPLICABLE] else ""),
            bold=True,
            **{"green" if self.verdict.is_green else "red": True},
        )

    def _write_deviations(self, terminal: pytest.TerminalReporter) -> None:
        """Known deviations: how many, or, where they are few or with -v, each with its cells and its reason."""
        claims = self.verdict.in_state(DEVIATES)
        if len(claims) > LISTED and self.config.option.verbose <= 0:
            terminal.write_line(
                f"{DEVIATES}: {len(claims)} claims, each as its entry expects; -v lists them", yellow=True
            )
            return
        for one in claims:
            terminal.write_line(f"{DEVIATES}: {one.id}: {one.asserted}", yellow=True)
            cells = self._cells(one, record.DEVIATES)
            for reason in dict.fromkeys(cell["reason"] for cell in cells):
                seen = dict.fromkeys(cell["cell"] for cell in cells if cell["reason"] == reason)
                terminal.write_line(f"    {', '.join(seen)}: {reason}")

    def _table(self, selected: list[Claim]) -> list[tuple[str, ...]]:
        """A row for each room, or, with -v, for each claim: its cells by what became of them."""
        if self.config.option.verbose > 0:
            groups = {one.id: [one] for one in selected}
        else:
            groups = {
                room.as_posix(): [one for one in selected if one.room == room]
                for room in dict.fromkeys(one.room for one in selected)
            }
        rows: list[tuple[str, ...]] = [
            ("", "claims", *STATES, "cells", *(f"cells {outcome}" for outcome in record.OUTCOMES[1:]), "tolerance used")
        ]
        for name, claims in groups.items():
            states = self.verdict.counts(claims)
            cells = {cell["test"]: cell["outcome"] for one in claims for cell in self.verdict.records.get(one.id, ())}
            outcomes = Counter(cells.values())
            used = self.verdict.tolerance_used(claims)
            rows.append(
                (
                    name,
                    str(len(claims)),
                    *(str(states[state] or "") for state in STATES),
                    str(len(cells)),
                    *(str(outcomes[outcome] or "") for outcome in record.OUTCOMES[1:]),
                    f"{used:.0%}" if used is not None else "",
                )
            )
        return rows

    def _cells(self, one: Claim, outcome: str) -> list[dict[str, Any]]:
        return [cell for cell in self.verdict.records.get(one.id, []) if cell["outcome"] == outcome]

    def _reasons_not_to_apply(self) -> dict[str, list[str]]:
        reasons: dict[str, list[str]] = {}
        for one in self.verdict.in_state(INAPPLICABLE):
            reason = self.verdict.records[one.id][0]["reason"].removeprefix("does not apply: ")
            reasons.setdefault(re.sub(r"^\S+ is (?=stated|said)", "", reason), []).append(one.id)
        return reasons

    def _unproven(self) -> list[str]:
        outcomes: dict[str, set[str]] = {name: set() for name in sorted(self.verdict.selected)}
        for proof in self.verdict.proofs:
            outcomes[proof["claim"]].add(proof["outcome"])
        return [name for name, seen in outcomes.items() if not seen or "failed" in seen]

    def _summarise_proofs(self, terminal: pytest.TerminalReporter) -> None:
        outcomes = Counter(proof["outcome"] for proof in self.verdict.proofs)
        unproven = self._unproven()
        for name in unproven:
            terminal.write_line(f"unproven: {name}", red=True)
        terminal.write_line(
            f"{len(self.verdict.selected)} claims, {len(unproven)} unproven;"
            f" {len({proof['fault'] for proof in self.verdict.proofs})} faults in {len(self.verdict.proofs)} proofs:"
            f" {outcomes['passed']} noticed with the control green, {outcomes['failed']} not,"
            f" {outcomes['skipped']} do not apply",
            bold=True,
            **{"red" if unproven else "green": True},
        )


_VERDICT_TEXTS = {
    "holds": "hold",
    "half": "are half true",
    "refuted": "are refuted",
    "outdated": "are outdated",
}


def end_on_sigterm(config: pytest.Config) -> None:
    """A CI system that cancels a run sends SIGTERM: the run ends as after Ctrl-C, with its reports."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)

    def end_as_before() -> None:
        signal.signal(signal.SIGTERM, before)

    config.add_cleanup(end_as_before)


def write_table(terminal: pytest.TerminalReporter, rows: list[tuple[str, ...]]) -> None:
    """Writes ``rows``, of which the first is the head, in aligned columns; leaves out columns that are empty."""
    kept = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in kept]
    for row in zip(*kept, strict=True):
        first, *rest = (
            text.ljust(width) if index == 0 else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        terminal.write_line("  ".join([first, *rest]))
