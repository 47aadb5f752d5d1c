"""How far a run of the benchmarks is, and how long it may still take: dots do not tell."""

from __future__ import annotations

import time
from typing import Any

import pytest

SAY_EVERY = 20.0  # seconds, where a line cannot be written over the one before


class Progress:
    """Writes a line for each row that has ended, in the place of pytest's dot."""

    def __init__(self, config: pytest.Config, nodeids: set[str]) -> None:
        self.terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
        # -v names each row as it ends, and rows that are not timed are soon over.
        self.shown = config.option.verbose <= 0 and not config.option.benchmark_disable
        self.nodeids = nodeids  # of the rows' tests
        self.done = 0
        self.started = self.said = 0.0

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """The first row begins; what ran before says nothing about how long rows take."""
        if not self.started and nodeid in self.nodeids:
            self.started = time.monotonic()

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No dot for a row."""
        said = self.shown and report.nodeid in self.nodeids and report.when == "call" and report.passed
        return ("passed", "", "") if said else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A row has ended."""
        if not self.shown or report.nodeid not in self.nodeids or report.when != "call":
            return
        self.done += 1
        now, total = time.monotonic(), len(self.nodeids)
        rest = (now - self.started) / self.done * (total - self.done)
        line = f"row {self.done} of {total}, about {duration(rest)} left"
        if self.terminal.isatty:
            self.terminal.rewrite(line, erase=True)
        elif now - self.said > SAY_EVERY:
            self.said = now
            self.terminal.write(f"\n{line}", flush=True)


def duration(seconds: float) -> str:
    """``seconds`` as ``2 min 5 s``."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
