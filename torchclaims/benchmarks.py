"""Benchmark runs: what is chosen, how long each row may take, progress, and the figures of each row.

pytest-benchmark keeps the times, the storage and the comparisons; this module gives it a clock that waits for the
device, and adds what its figures lack. Imports no torch until rows run.
"""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import gc
import math
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from torchclaims.report.figures import table
from torchclaims.report.files import ReportError, check_writable
from torchclaims.report.progress import Progress
from torchclaims.report.quantities import si
from torchclaims.report.terminal import end_on_sigterm, write_table

if TYPE_CHECKING:
    from torchclaims.instruments import Instruments
    from torchclaims.targets import Device

RUN = pytest.StashKey["Run"]()

DTYPES = {"float32": "float32", "bfloat16 autocast": "bfloat16"}  # of the arithmetic in a row's precision

QUICK = {"benchmark_max_time": "0.03", "benchmark_min_rounds": 3}
# Of five rounds, pytest-benchmark's least, the median has no 95 % interval, and what goes before them takes as long.
ITS_ROUNDS, ROUNDS = 5, 10
LIMIT_SECONDS = 2.0  # that a device's limits may take

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
    elif config.option.benchmark_min_rounds == ITS_ROUNDS:
        config.option.benchmark_min_rounds = ROUNDS
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
    if options.benchmark_only and options.memory_format:
        raise pytest.UsageError("--memory-format: channels_last has benchmarks of its own; --rows '*channels_last*'")
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
        self.devices: dict[str, Instruments] = {}  # by label
        self.figures: list[dict[str, Any]] = []
        self.without: dict[str, str] = {}  # the rows without figures, and why
        self.condition: list[str] = []
        self.nodeids: set[str] = set()  # of the rows' tests
        self.is_frozen = False

    def instruments(self, target: Device) -> Instruments:
        """The instruments of a device, which are the same throughout the run."""
        from torchclaims.instruments import Instruments

        if target.label not in self.devices:
            option = self.config.option
            self.devices[target.label] = Instruments(
                target, float(option.benchmark_max_time), option.benchmark_min_rounds
            )
        return self.devices[target.label]

    def measure(self, benchmark: Any, subject: Any, eager: Any, target: Device) -> None:
        """Measures ``subject``, and puts its figures into the benchmark's ``extra_info``.

        ``eager`` is the same subject uncompiled: its work is counted.
        """
        info = benchmark.extra_info
        try:
            info |= self.instruments(target).measure(benchmark, subject, eager, DTYPES[info["precision"]])
        except BaseException:
            benchmark.has_error = True  # what is not finished stays out of the report
            raise
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
                hint = f"they are called like {close[0]!r}" if close else "--benchmark-only collects them"
                raise pytest.UsageError(f"--rows: no benchmark matches {pattern!r}; {hint}")
        chosen = {name for pattern in patterns for name in fnmatch.filter(names, pattern)}
        config.hook.pytest_deselected(items=[item for item in items if _row_of(item) not in chosen])
        items[:] = [item for item in items if _row_of(item) in chosen]

    def pytest_report_collectionfinish(self, config: pytest.Config, items: list[pytest.Item]) -> list[str]:
        """Measures the limits of the devices, and says them, and what makes the machine unfit."""
        from torchclaims.measure import machine
        from torchclaims.plugin import TARGETS

        rows = [row for item in items if (row := _row_of(item))]
        self.nodeids = {item.nodeid for item in items if _row_of(item)}
        config.pluginmanager.register(Progress(config, self.nodeids), "torchclaims-progress")
        options = config.option
        if not rows or options.benchmark_disable or options.collectonly or options.against is not None:
            return []
        dtypes = [dtype for precision, dtype in DTYPES.items() if any(row.endswith(precision) for row in rows)]
        lines = []
        for target in config.stash[TARGETS].devices:
            self.condition += [line for line in machine.condition(target.name) if line not in self.condition]
            self.instruments(target).find_limits(dtypes, LIMIT_SECONDS)
            if best := self.instruments(target).limits:
                flops = ", ".join(f"{si(value, 'FLOP/s')} in {name}" for name, value in best.flops.items())
                lines.append(f"{target.label} at its best: {flops}; {si(best.bandwidth, 'B/s')} copied")
        return lines + [f"figures may suffer: {line}" for line in self.condition]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps why a row has no figures."""
        if report.nodeid not in self.nodeids or report.when != "call":
            return
        if report.skipped and isinstance(report.longrepr, tuple):
            self.without[report.nodeid.partition("[")[2].rstrip("]")] = report.longrepr[2].removeprefix("Skipped: ")
        if not self.is_frozen:
            gc.collect()
            gc.freeze()  # what the first row has imported stays: walking it for each row would take longer than most do
            self.is_frozen = True

    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        """Adds the limits that were measured: those of the first device, and of each by its label."""
        limits = {label: one.limits for label, one in self.devices.items() if one.limits}
        devices = {label: {**one.flops, "bandwidth": one.bandwidth} for label, one in limits.items()}
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
    """The row that a benchmark times; other tests may call something else of theirs a row."""
    is_benchmark = isinstance(item, pytest.Function) and "benchmark" in item.fixturenames
    callspec = getattr(item, "callspec", None) if is_benchmark else None
    row = callspec.params.get("row") if callspec else None
    return row if isinstance(row, str) else None
