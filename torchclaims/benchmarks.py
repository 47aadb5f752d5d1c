"""Benchmark runs: what is chosen, how long each row may take, progress, and the figures of each row.

pytest-benchmark keeps the times, the storage and the comparisons; this module gives it a clock that waits for the
device, and adds what its figures lack. Imports no torch until rows run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import fnmatch
import gc
import math
import re
import time
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from torchclaims.report.figures import at_best, figures, roofline, table
from torchclaims.report.files import ReportError, check_writable
from torchclaims.report.quantities import si
from torchclaims.report.terminal import end_on_sigterm, write_table

if TYPE_CHECKING:
    from torchclaims.measure.clocks import Clock
    from torchclaims.measure.machine import Limits
    from torchclaims.measure.memory import Memory
    from torchclaims.targets import Device

RUN = pytest.StashKey["Run"]()

DTYPES = {"float32": "float32", "bfloat16 autocast": "bfloat16"}  # of the arithmetic in a row's precision

QUICK = {"benchmark_max_time": "0.03", "benchmark_min_rounds": 3}
LIMIT_SECONDS = 2.0  # that a device's limits may take
MAX_ROUNDS = 1000
SAY_EVERY = 20.0  # seconds, where progress cannot be written over itself

OUT_OF_MEMORY = re.compile("out of memory|not enough memory|can't allocate memory")

# Options of pytest-benchmark about its table, and what they are when nobody asked for it.
ITS_TABLE: dict[str, Any] = {
    "benchmark_columns": None,
    "benchmark_sort": "min",
    "benchmark_group_by": "group",
    "benchmark_name": "normal",
    "benchmark_time_unit": None,
    "benchmark_compare": [],
    "benchmark_histogram": [],
    "benchmark_cprofile": None,
    "benchmark_verbose": False,
}
OURS = {"row", "comparison"}  # what marks the extra_info of a benchmark that has a table here


def add_options(group: pytest.OptionGroup) -> None:
    """``--benchmark-quick`` and ``--rows``; the rest are pytest-benchmark's own."""
    group.addoption("--benchmark-quick", action="store_true", help="all benchmarks with few rounds: in about a minute")
    group.addoption(
        "--rows",
        action="append",
        metavar="PATTERN",
        help="run the benchmarks that match, as in 'VGG*'; may be repeated",
    )


def arrange(config: pytest.Config) -> None:
    """``--benchmark-only`` runs the benchmarks, alone; every other run leaves them out without a word.

    Raises:
        pytest.UsageError: a time limit, a dtype or a file that cannot be used; one line.
    """
    if not config.pluginmanager.hasplugin("benchmark"):
        return
    in_workers = config.getoption("dist", "no") != "no" or hasattr(config, "workerinput")
    only = config.option.benchmark_only
    if config.option.benchmark_quick:
        vars(config.option).update(QUICK)
    _check(config.option)
    if in_workers and not only:
        config.option.benchmark_disable = True
    if only:
        if config.args_source is config.ArgsSource.TESTPATHS:
            config.args[:] = [str(config.rootpath / "benchmarks")]
        if in_workers:
            config.option.dist, config.option.numprocesses, config.option.tx = "no", 0, []
            config.issue_config_time_warning(
                pytest.PytestWarning("timing and parallel workers do not go together: the benchmarks run alone"),
                stacklevel=2,
            )
        end_on_sigterm(config)
    if not hasattr(config, "workerinput"):
        config.stash[RUN] = Run(config)
        config.pluginmanager.register(config.stash[RUN], "torchclaims-benchmarks")


def _check(options: Any) -> None:
    seconds = float(options.benchmark_max_time)
    if not 0 < seconds < math.inf:
        raise pytest.UsageError(f"--benchmark-max-time: {seconds:g} s is no time to measure in; give more than 0")
    unknown = set((options.dtype or "").split(",")) - {"", *DTYPES.values()}
    if options.benchmark_only and unknown:
        raise pytest.UsageError(f"--dtype: benchmarks have no {', '.join(unknown)}; choose from float32, bfloat16")
    if options.benchmark_json is not None:
        try:
            check_writable("--benchmark-json", Path(options.benchmark_json))
        except ReportError as error:
            raise pytest.UsageError(str(error)) from None


@contextlib.contextmanager
def out_of_memory() -> Iterator[None]:
    """What is within may run out of memory: that is its outcome, told as a skip, and the memory is given back."""
    import torch

    try:
        yield
    except RuntimeError as error:
        # CUDA has a type for it (a RuntimeError); the CPU's and the other allocators have only words.
        if not isinstance(error, torch.cuda.OutOfMemoryError) and not OUT_OF_MEMORY.search(str(error)):
            raise
        message = f"out of memory: {str(error).splitlines()[0]}"
    else:
        return
    torch.cuda.empty_cache()  # does nothing where CUDA was not used
    pytest.skip(message)


class Run:
    """A benchmark run: the rows that are chosen, their figures, and what the machine could do."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.seconds = float(config.option.benchmark_max_time)
        self.figures: list[dict[str, Any]] = []
        self.without: dict[str, str] = {}  # the rows without figures, and why
        self.limits: dict[str, Limits | None] = {}  # of the devices, by label
        self.condition: list[str] = []
        self.total = self.done = 0
        self.started = self.said = 0.0
        self.clock = cache(_clock)
        self.flush = cache(_flush)
        self.resolution = cache(lambda clock: clock.resolution())

    def measure(self, benchmark: Any, subject: Any, eager: Any, target: Device) -> None:
        """Times ``subject`` by pytest-benchmark's fixture and puts its figures into ``extra_info``.

        ``eager`` is the same subject uncompiled: its work is counted.
        """
        import torch

        from torchclaims.measure import clocks, timing, work
        from torchclaims.report.environment import describe_device

        clock, info = self.clock(target), benchmark.extra_info
        best = at_best(self.limits.get(target.label), DTYPES[info["precision"]])
        try:
            if eager.setup:
                eager.setup()
            counted = work.count(eager.call)
            taken = _memory(subject, target)
            flush = self.flush(target.name) if roofline(1.0, counted, *best)[1] == "memory" else None
            setup = _in_turn(subject.setup, flush)
            first = timing.measure(subject.call, clock, seconds=self.seconds, setup=setup, min_rounds=1, max_rounds=1)
            rounds = math.ceil(self.seconds / (first.loops * max(first.wall[0], 1e-9)))
            rounds = max(self.config.option.benchmark_min_rounds, min(MAX_ROUNDS, rounds))
            clock.reset()
            benchmark.pedantic(subject.call, setup=setup, rounds=rounds, iterations=first.loops)
            samples = timing.Samples.of(clock.intervals(), first.loops)
            if flush:  # which keeps the device busy until the host has launched the call: no gap in its time
                unwaited = clocks.Clock.of(target.name, wait=False)
                apart = timing.measure(subject.call, unwaited, seconds=self.seconds, setup=setup)
                samples = dataclasses.replace(samples, device=apart.device)
            info |= figures(samples, counted, taken, *best)
        except BaseException:
            benchmark.has_error = True  # what is not finished stays out of the report
            raise
        info |= {"device": target.label, "device_description": describe_device(target), "shape": list(subject.shape)}
        info |= {"threads": torch.get_num_threads(), "clock_resolution": self.resolution(clock)}
        self.figures.append(info)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keeps the rows that ``--rows`` selects."""
        patterns = config.option.rows
        if not patterns:
            return
        names = dict.fromkeys(row for item in items if (row := _row_of(item)))
        for pattern in patterns:
            if not fnmatch.filter(names, pattern):
                close = difflib.get_close_matches(pattern, names, 1, 0)
                like = f"; they are called like {close[0]!r}" if close else ""
                raise pytest.UsageError(f"--rows: no benchmark matches {pattern!r}{like}")
        chosen = {name for pattern in patterns for name in fnmatch.filter(names, pattern)}
        config.hook.pytest_deselected(items=[item for item in items if _row_of(item) not in chosen])
        items[:] = [item for item in items if _row_of(item) in chosen]

    def pytest_report_collectionfinish(self, config: pytest.Config, items: list[pytest.Item]) -> list[str]:
        """Measures the limits of the devices, and says them, and what makes the machine unfit."""
        from torchclaims.measure import machine
        from torchclaims.plugin import TARGETS

        rows = [row for item in items if (row := _row_of(item))]
        self.total, self.started = len(rows), time.monotonic()
        options = config.option
        if not rows or options.benchmark_disable or options.collectonly or options.against is not None:
            return []
        dtypes = [dtype for precision, dtype in DTYPES.items() if any(row.endswith(precision) for row in rows)]
        lines = []
        for target in config.stash[TARGETS].devices:
            self.limits[target.label] = best = _limits(target, dtypes, LIMIT_SECONDS)
            self.condition += [line for line in machine.condition(target.name) if line not in self.condition]
            if best:
                flops = ", ".join(f"{si(value, 'FLOP/s')} in {name}" for name, value in best.flops.items())
                lines.append(f"{target.label} at its best: {flops}; {si(best.bandwidth, 'B/s')} copied")
        return lines + [f"figures may suffer: {line}" for line in self.condition]

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No dot for a row: :meth:`pytest_runtest_logreport` says more."""
        quiet = self.total and report.when == "call" and report.passed and self.config.option.verbose <= 0
        return ("passed", "", "") if quiet else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """How far the run is, and how long it may still take."""
        if not self.total or report.when != "call":
            return
        if report.skipped:
            name = report.nodeid.partition("[")[2].rstrip("]") or report.nodeid
            self.without[name] = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        if self.done == 0:
            gc.collect()
            gc.freeze()  # what the first row has imported stays: walking it for each row would take longer than most do
        self.done += 1
        now = time.monotonic()
        rest = (now - self.started) / self.done * (self.total - self.done)
        terminal: Any = self.config.pluginmanager.get_plugin("terminalreporter")
        line = f"row {self.done} of {self.total}, about {_duration(rest)} left"
        if self.config.option.verbose > 0 or self.config.option.benchmark_disable:
            return
        if terminal.isatty:
            terminal.rewrite(line, erase=True)
        elif now - self.said > SAY_EVERY:
            self.said = now
            terminal.write(f"\n{line}", flush=True)

    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        """Adds the limits that were measured: those of the first device, and of each by its label."""
        devices = {label: {**one.flops, "bandwidth": one.bandwidth} for label, one in self.limits.items() if one}
        if not devices:
            return
        import torch

        machine_info["torchclaims"] = {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "limits": next(iter(devices.values())),
            "devices": devices,
            "condition": self.condition,
        }

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_compare_machine_info(self, compared_benchmark: dict[str, Any]) -> None:
        """Limits are measured anew in each run: that they differ does not say that the machines do."""
        compared_benchmark["machine_info"].pop("torchclaims", None)

    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        """Adds the rows that have no figures, and why."""
        output_json["without_figures"] = self.without

    @pytest.hookimpl(wrapper=True)
    def pytest_benchmark_group_stats(self) -> Generator[None, Any, Any]:
        """Rows stand in a table of ours; pytest-benchmark's is for those who ask for it."""
        groups = yield
        if any(getattr(self.config.option, name) != default for name, default in ITS_TABLE.items()):
            return groups
        others = [(name, [one for one in group if not OURS & set(one["extra_info"])]) for name, group in groups]
        return [(name, group) for name, group in others if group]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The rows' figures, a line each."""
        if not self.figures and not self.without:
            return
        terminalreporter.section("benchmarks")
        if self.figures:
            write_table(terminalreporter, table(self.figures))
        for name, reason in self.without.items():
            terminalreporter.write_line(f"{name}: {reason}", yellow=True)
        noisy = sum(info["noisy"] for info in self.figures)
        line = f"{len(self.figures)} rows timed, {noisy} of them noisy (quartiles more than 10 % apart)"
        terminalreporter.write_line(line + (f"; {len(self.without)} without figures" if self.without else ""))


def _row_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("row") if callspec else None


def _clock(target: Device) -> Clock:
    from torchclaims.measure.clocks import Clock

    try:
        return Clock.of(target.name)
    except ValueError:  # a device of --device-spec
        return Clock(target.synchronize)


def _flush(device: str) -> Callable[[], object] | None:
    from torchclaims.measure import machine

    return machine.cache_flush(device)


def _in_turn(*functions: Callable[[], object] | None) -> Callable[[], None] | None:
    """One function that calls those that are there; None where there are none."""
    there = [function for function in functions if function]

    def call() -> None:
        for function in there:
            function()

    return call if there else None


def _memory(subject: Any, target: Device) -> Memory | None:
    from torchclaims.measure import memory

    try:
        return memory.measure(subject.call, target.name, *([subject.setup] if subject.setup else []))
    except ValueError:  # nothing tells how much memory such a device has in use
        return None


def _limits(target: Device, dtypes: list[str], seconds: float) -> Limits | None:
    from torchclaims.measure import machine

    try:
        return machine.limits(target.name, dtypes, seconds)
    except ValueError:  # such a device has no clock of its own
        return None


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
