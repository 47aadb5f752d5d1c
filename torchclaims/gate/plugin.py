"""``pytest --benchmark-only --against``: the benchmarks that pytest selects are judged instead of timed."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from torchclaims.gate import CANDIDATE, GateError, options, report
from torchclaims.gate.run import Run


def arrange(config: pytest.Config) -> None:
    """Registers the gate, which ``--against`` asks for.

    Raises:
        pytest.UsageError: an option of the gate makes no sense.
    """
    if not config.getoption("benchmark_only", False):
        raise pytest.UsageError("--against compares benchmarks: add --benchmark-only")
    try:
        request = options.request(config.option, against=config.option.against)
        gate = Gate(config, Run(request, None if request.subject else config.rootpath))
    except GateError as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.register(gate, "torchclaims-gate")


class Gate:
    """Takes pytest's place where tests are run, and says what came out."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self.run = run
        self.plugins = config.pluginmanager
        self.unwritten: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool | None:
        """A user's own subject needs no tests."""
        if self.run.request.subject is None:
            return None
        session.items = []
        return True

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leaves out what times no row, such as comparisons, which decide claims about one build."""
        config.hook.pytest_deselected(items=[item for item in items if "row" not in _parameters(item)])
        items[:] = [item for item in items if "row" in _parameters(item)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Compares the rows of the selected benchmarks.

        Raises:
            pytest.UsageError: there are none, or a build cannot be run.
        """
        if session.config.option.collectonly:
            return None
        subject = self.run.request.subject
        try:
            with self.run.machine():
                device = self.run.builds[CANDIDATE]["device"]
                rows = [subject] if subject else _rows(session.items, device)
                if not rows:
                    raise GateError(f"no row of the benchmarks on {device} is selected: there is nothing to compare")
                for line in report.header(self.run):
                    self._terminal.write_line(line)
                rewrite = partial(self._terminal.rewrite, erase=True) if self._terminal.isatty else None
                self.run.compare(rows, report.Progress(self._terminal.write_line, rewrite))
        except GateError as error:
            raise pytest.UsageError(str(error)) from None
        return True

    @property
    def _terminal(self) -> pytest.TerminalReporter:
        reporter: pytest.TerminalReporter = self.plugins.getplugin("terminalreporter")
        return reporter

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Writes the reports and sets the exit code."""
        if self.run.campaign is None:
            return
        self.unwritten = report.write(self.run)
        session.exitstatus = pytest.ExitCode.USAGE_ERROR if self.unwritten else self.run.exit_code()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The table and the verdict."""
        if self.run.campaign is None:
            return
        terminalreporter.section("gate")
        for line in report.ending(self.run, self.unwritten):
            terminalreporter.write_line(line)


def _rows(items: list[pytest.Item], device: str) -> list[str]:
    """The rows that ``items`` time on ``device``, each once."""
    calls = [_parameters(item) for item in items]
    return list(dict.fromkeys(one["row"] for one in calls if one.get("device", device) == device))


def _parameters(item: pytest.Item) -> dict[str, Any]:
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec else {}
