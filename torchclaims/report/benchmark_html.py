"""``--benchmark-html``: the page of the run that is being made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from torchclaims.report.files import ReportError, check_writable
from torchclaims.report.page import check_installed, write_page
from torchclaims.report.timings import parse

OPTION = "--benchmark-html"


def arrange(config: pytest.Config) -> None:
    """Has the page written at the end of the run; what would prevent it is one line and exit 4, before anything runs.

    Raises:
        UsageError: the page cannot be made here, or not be written there.
    """
    path = Path(config.option.benchmark_html)
    try:
        check_installed(OPTION)
        check_writable(OPTION, path)
    except ReportError as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.register(PageWriter(config, path), "torchclaims-page")


class PageWriter:
    """Collects what pytest-benchmark measured, also in a run that is interrupted, and writes the page."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self.config = config
        self.path = path
        self.benchmarks: list[dict[str, Any]] = []
        self.error: str | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_group_stats(self, benchmarks: list[dict[str, Any]]) -> None:
        """Takes this run's benchmarks; those of a stored run that it is compared with have a path."""
        self.benchmarks = [one for one in benchmarks if one["path"] is None]

    # pytest-benchmark's own hook is a wrapper around this one, and groups before.
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Writes the page; a run that timed no row has none."""
        if self.config.option.collectonly:
            return
        hook = self.config.hook
        machine = hook.pytest_benchmark_generate_machine_info(config=self.config)
        hook.pytest_benchmark_update_machine_info(config=self.config, machine_info=machine)
        commit = hook.pytest_benchmark_generate_commit_info(config=self.config)
        report = hook.pytest_benchmark_generate_json(
            config=self.config, benchmarks=[], include_data=False, machine_info=machine, commit_info=commit
        ) | {"benchmarks": [{"extra_info": one["extra_info"]} for one in self.benchmarks]}
        try:
            write_page(OPTION, parse(json.dumps(report, default=str), OPTION), self.path)
        except ReportError as error:
            self.error = str(error)
            session.exitstatus = session.exitstatus or pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Says where the page is, or why there is none."""
        if self.error:
            terminalreporter.write_line(f"ERROR: {self.error}", red=True)
        elif not self.config.option.collectonly:
            terminalreporter.write_line(f"page written to {self.path}")
