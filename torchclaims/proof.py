"""``--prove``: each fault is applied, and the tests of each claim that it breaks must turn red by an assertion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from _pytest.runner import (
    runtestprotocol,
)  # as pytest-rerunfailures does: to run a test without logging its reports

from torchclaims.catalogue import Catalogue, CatalogueError
from torchclaims.faults import Fault, FaultError, load_faults
from torchclaims.report.record import FAILED, INAPPLICABLE


class Proof(pytest.Item):
    """One fault against one claim.

    The control must leave the claim's tests green, the fault must turn one of them red by its own assertion, and that
    one must be green again afterwards.
    """

    def __init__(self, *, fault: Fault, claim: str, tests: list[pytest.Item], source: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fault = fault
        self.claim = claim
        self.tests = tests
        self.source = source

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the fault is written."""
        return self.source, self.fault.apply.__code__.co_firstlineno, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The finding itself; for a defect of the proof, its traceback."""
        return str(excinfo.value) if isinstance(excinfo.value, Unproven) else super().repr_failure(excinfo, style)

    def run_and_report(self) -> None:
        """Runs the proof and logs its reports.

        The tests run through pytest's own protocol, which is why this is not ``runtest``: an item cannot be set up
        while another one is.
        """
        self.ihook.pytest_runtest_logstart(nodeid=self.nodeid, location=self.location)
        phases: dict[Literal["setup", "call", "teardown"], Callable[[], None]] = {
            "setup": lambda: None,
            "call": self.runtest,
            "teardown": lambda: None,
        }
        for when, function in phases.items():
            call = pytest.CallInfo.from_call(function, when=when, reraise=(pytest.exit.Exception, KeyboardInterrupt))
            report = pytest.TestReport.from_item_and_call(self, call)
            if when == "call":
                report.torchclaims_proof = {  # type: ignore[attr-defined]
                    "claim": self.claim,
                    "fault": self.fault.name,
                    "outcome": report.outcome,
                    "seconds": report.duration,
                }
            self.ihook.pytest_runtest_logreport(report=report)
        self.ihook.pytest_runtest_logfinish(nodeid=self.nodeid, location=self.location)

    def runtest(self) -> None:
        """Raises:
        Unproven: the control turned red, nothing noticed the fault, or it could not be applied or left a trace.
        """
        try:
            with self.fault.applied(control=True):
                reports = [report for test in self.tests for report in _decisive_reports(test)]
            for report in reports:
                if report.torchclaims["outcome"] == FAILED:
                    raise Unproven(f"the control, which changes nothing, turned this red: {_summary(report)}")
            if all(report.torchclaims["outcome"] == INAPPLICABLE for report in reports):
                pytest.skip(reports[0].torchclaims["reason"])
            with self.fault.applied():
                noticed_by, crashes = self._run_until_noticed()
        except FaultError as error:
            raise Unproven(f"the fault is no fault: {error}") from None
        if noticed_by is None:
            raise Unproven(
                f"none of {len(self.tests)} tests of {self.claim} noticed: {self.fault.description}"
                + "".join(f"\ncrashed, which is not noticing: {crash}" for crash in crashes)
            )
        for report in _decisive_reports(noticed_by):
            if report.torchclaims["outcome"] == FAILED:
                raise Unproven(f"the fault left a trace: without it this is still red: {_summary(report)}")

    def _run_until_noticed(self) -> tuple[pytest.Item | None, list[str]]:
        """Runs the tests until one fails by assertion; returns it, and what crashed before."""
        crashes: list[str] = []
        for test in self.tests:
            for report in _decisive_reports(test):
                if report.torchclaims["outcome"] == FAILED:
                    if report.when == "call" and report.torchclaims["asserted"]:
                        return test, crashes
                    crashes.append(_summary(report))
        return None, crashes


class Unproven(Exception):
    """A claim whose tests do not notice a fault, or a fault that is none."""


def _decisive_reports(test: pytest.Item) -> Iterator[Any]:
    for report in runtestprotocol(test, log=False, nextitem=None):
        if hasattr(report, "torchclaims"):
            yield report


def _summary(report: Any) -> str:
    return f"{report.nodeid} in {report.when}: {report.torchclaims['reason']}"


def proofs(
    session: pytest.Session, catalogue: Catalogue, chosen: frozenset[str], tests: list[pytest.Item]
) -> list[pytest.Item]:
    """A proof for each fault and each claim that it breaks, among the ``chosen`` claims that ``tests`` decide.

    Raises:
        CatalogueError: a ``faults.py`` cannot be imported.
    """
    tests_of: dict[str, list[pytest.Item]] = {}
    for test in tests:
        for mark in test.iter_markers("claim"):
            for name in mark.args:
                tests_of.setdefault(name, []).append(test)
    found: list[pytest.Item] = []
    for path in dict.fromkeys(mention.path for mention in catalogue.faults):
        try:
            faults = load_faults(catalogue.root / path)
        except FaultError as error:
            raise CatalogueError(str(error)) from None
        found += [
            Proof.from_parent(
                session,
                name=f"{fault.name}[{claim}]",
                nodeid=f"{path.as_posix()}::{fault.name}[{claim}]",
                fault=fault,
                claim=claim,
                tests=tests_of[claim],
                source=catalogue.root / path,
            )
            for fault in faults
            for claim in fault.claims
            if claim in chosen and claim in tests_of
        ]
    return found
