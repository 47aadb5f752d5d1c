"""Benchmarks: each body runs; they run alone, and stay out of other runs without a word; what they say of a row."""

import json
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from benchmarks import rows
from torchclaims import benchmarks, instruments
from torchclaims.instruments import Instruments
from torchclaims.measure import machine
from torchclaims.measure.machine import Limits
from torchclaims.measure.memory import Memory
from torchclaims.measure.timing import Samples
from torchclaims.measure.work import Work
from torchclaims.report import progress, timings
from torchclaims.report.figures import figures, roofline, table
from torchclaims.targets import Device

USAGE = pytest.ExitCode.USAGE_ERROR

# What extra_info says of a row; the form is described in torchclaims/report/benchmark.schema.json.
FIGURES = {
    *("row", "name", "kind", "work", "batch", "precision", "mode", "device", "device_description", "shape", "threads"),
    *("wall", "cpu", "device_time", "flops", "bytes", "operations", "flops_per_second", "bytes_per_second"),
    *("limit", "binding", "share", "peak_bytes", "retained_bytes", "clock_resolution", "noisy"),
}


LINEAR = ("Linear, forward, batch 1, *", "Linear by hand, forward, batch 1, *")


@pytest.fixture
def bench(run, toy_suite, pytestconfig, monkeypatch):
    """Runs rows of this project's own benchmarks in this process, on a machine whose limits are known."""
    monkeypatch.setattr("pytest_benchmark.plugin.get_cpu_info", dict)  # it takes a second
    monkeypatch.setattr(machine, "limits", lambda device, dtypes, *_: Limits(dict.fromkeys(dtypes, 1e11), 1e10))
    monkeypatch.setattr(machine, "condition", lambda device: ["the fan is loud"])
    (toy_suite / "benchmarks").mkdir()
    shutil.copy(pytestconfig.rootpath / "benchmarks" / "test_rows.py", toy_suite / "benchmarks")

    def bench(*arguments, patterns=LINEAR, quick="--benchmark-quick"):
        chosen = [option for pattern in patterns for option in ("--rows", pattern)]
        return run("benchmarks", quick, *chosen, *arguments)

    return bench


def rows_in(path):
    return {one["extra_info"]["row"]: one["extra_info"] for one in json.loads(Path(path).read_text())["benchmarks"]}


def spoil_linear(monkeypatch, spoil):
    """nn.Linear in float32, and nothing else, does ``spoil`` instead."""
    original = F.linear
    monkeypatch.setattr(F, "linear", lambda x, w, b=None: (spoil if x.dtype == torch.float32 else original)(x, w, b))
    return original


def test_each_body_runs_once_untimed(bench):
    result = bench("--benchmark-disable", patterns=["[!V]*batch [12], *", "VGG, inference, batch 1,*"])
    result.assert_outcomes(passed=97, deselected=103)


def test_each_network_has_rows(pytestconfig):
    source = (pytestconfig.rootpath / "benchmarks" / "rows.py").read_text()
    assert all(path.stem in source for path in (pytestconfig.rootpath / "models").glob("*.py"))


def test_figures_of_a_row(bench):
    result = bench("--benchmark-only", "--benchmark-json", "out.json")
    result.assert_outcomes(passed=2, deselected=198)
    timings.load(Path("out.json"))  # which checks it against the schema
    info = rows_in("out.json")["Linear, forward, batch 1, float32"]
    assert set(info) == FIGURES
    assert info["shape"] == [1, 1024]
    assert info["flops"] in (2 * 1024**2, None)  # None before PyTorch 2.1
    assert info["bytes"] == 4 * (1024 + 1024**2 + 1024 + 1024)
    assert info["peak_bytes"] >= 4096
    assert info["wall"]["low"] <= info["wall"]["median"] <= info["wall"]["high"]
    assert info["device_time"] is None
    machine_info = json.loads(Path("out.json").read_text())["machine_info"]["torchclaims"]
    assert machine_info["limits"] == {"float32": 1e11, "bandwidth": 1e10}
    assert machine_info["condition"] == ["the fan is loud"]
    result.stdout.fnmatch_lines(
        [
            "cpu at its best: 100 GFLOP/s in float32; 10.0 GB/s copied",
            "figures may suffer: the fan is loud",
            "row*median*95 % interval*",
            "Linear, forward, batch 1, float32 *s *[[]*",
            "2 rows timed, * of them noisy*",
        ]
    )
    result.stdout.no_fnmatch_line("*OPS*")


def test_a_wrong_answer_is_no_result(bench, monkeypatch):
    original = spoil_linear(monkeypatch, lambda x, w, b: original(x, w, b) * 1.001)
    result = bench("--benchmark-only", "--benchmark-json", "out.json")
    result.assert_outcomes(passed=1, failed=1, deselected=198)
    result.stdout.fnmatch_lines(["*Linear, forward, batch 1, float32: output is off by 0.001 of the result's size*"])
    assert list(rows_in("out.json")) == ["Linear by hand, forward, batch 1, float32"]


def test_a_row_out_of_memory_leaves_the_others(bench, monkeypatch):
    def exhausted(x, w, b):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    spoil_linear(monkeypatch, exhausted)
    result = bench("--benchmark-only", "--benchmark-json", "out.json")
    result.assert_outcomes(passed=1, skipped=1, deselected=198)
    result.stdout.fnmatch_lines(
        ["cpu, eager, Linear, forward, batch 1, float32: *out of memory: CUDA*", "1 rows timed*; 1 without figures"]
    )
    assert list(json.loads(Path("out.json").read_text())["without_figures"])


def test_out_of_memory_is_told_from_other_errors():
    with pytest.raises(pytest.skip.Exception, match="out of memory"), benchmarks.out_of_memory():
        torch.empty(2**50)
    with pytest.raises(RuntimeError, match="channels_last"), benchmarks.out_of_memory():
        torch.empty(2, memory_format=torch.channels_last)


def test_an_interrupted_run_keeps_finished_rows(bench, monkeypatch):
    def killed(*arguments):
        monkeypatch.setattr(instruments, "figures", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        return figures(*arguments)

    monkeypatch.setattr(instruments, "figures", killed)
    with pytest.raises(KeyboardInterrupt):
        bench("--benchmark-only", "--benchmark-json", "out.json", patterns=["BatchNorm1d, forward, batch 2,*", *LINEAR])
    assert list(rows_in("out.json")) == ["BatchNorm1d, forward, batch 2, float32"]


def test_progress_is_shown(bench, monkeypatch):
    monkeypatch.setattr(progress, "SAY_EVERY", -1)
    bench("--benchmark-only", "-q").stdout.fnmatch_lines(["row 1 of 2, about *s left", "row 2 of 2, about 0 s left"])


def test_its_own_tables_and_comparisons_stay_usable(bench, capsys, monkeypatch):
    storage = "--benchmark-storage=file://./kept"
    bench("--benchmark-only", storage, "--benchmark-save=first", "--benchmark-columns=min,rounds").stdout.fnmatch_lines(
        ["*benchmark 'forward, float32, cpu': 2 tests*", "Name (time in *Min * Rounds*"]
    )
    result = bench("--benchmark-only", storage, "--benchmark-compare")
    # They stand in the order of their times.
    for when in ("NOW", "0001_first"):
        result.stdout.fnmatch_lines([f"*Linear, forward, batch 1, float32* ({when})*"])
    assert "machine_info is different" not in result.stdout.str()
    from pytest_benchmark.cli import main

    monkeypatch.setattr("sys.argv", ["pytest-benchmark", "--storage", "file://./kept", "compare"])
    main()
    assert "Linear by hand, forward, batch 1, float32" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--benchmark-json=nowhere/out.json"], "--benchmark-json: cannot write nowhere/out.json: *"),
        (["--benchmark-max-time", "-1"], "--benchmark-max-time: -1 s is no time to measure in; give more than 0"),
        (["--benchmark-max-time", "nan"], "--benchmark-max-time: nan s is no time to measure in; give more than 0"),
        (["--rows", "VGX*"], "--rows: no benchmark matches 'VGX[*]'; they are called like *"),
        (["--memory-format=channels_last"], "--memory-format: channels_last has benchmarks of its own; *"),
        (["--dtype", "float64"], "--dtype: benchmarks have no float64; choose from float32, bfloat16"),
    ],
)
def test_what_cannot_be_had_is_one_line(bench, arguments, message):
    result = bench("--benchmark-only", *arguments, patterns=(), quick="--seed=1")
    assert result.ret == USAGE
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    assert not list(Path().glob("**/*.json"))


def test_rows_are_chosen_among_benchmarks(run):
    result = run("--rows", "VGG*")
    assert result.ret == USAGE
    result.stderr.fnmatch_lines(["ERROR: --rows: no benchmark matches 'VGG[*]'; --benchmark-only collects them"])


def test_compiled_rows_are_checked_too(bench):
    if torch.__version__ < "2.1":
        pytest.skip("torch.compiler came with PyTorch 2.1")
    result = bench(
        "--benchmark-only", "--mode=aot_eager", "--benchmark-json=out.json", patterns=["Linear, backward, batch 1,*"]
    )
    result.assert_outcomes(passed=1, deselected=199)
    assert {info["mode"] for info in rows_in("out.json").values()} == {"aot_eager"}


def test_bfloat16_where_it_is_asked_for(bench):
    result = bench("--benchmark-disable", "--dtype=bfloat16", patterns=["Linear, *batch 1, bfloat16 autocast"])
    result.assert_outcomes(passed=4, deselected=196)


@pytest.mark.parametrize(("asked_for", "least"), [([], 10), (["--benchmark-min-rounds=7"], 7)], ids=["", "asked for"])
def test_least_rounds(bench, asked_for, least):
    bench("--benchmark-only", "--benchmark-json=out.json", *asked_for, quick="--benchmark-max-time=1e-6")
    assert {one["stats"]["rounds"] for one in json.loads(Path("out.json").read_text())["benchmarks"]} == {least}


def test_rows_of_an_accelerator_fill_it():
    assert {row.batch for row in rows.rows("cuda", (rows.FLOAT32,)) if row.name == "VGG"} == {256, 1, 2}
    assert rows.has_bfloat16(torch.device("cuda")) == torch.cuda.is_available()
    assert len(rows.rows("cpu", rows.PRECISIONS)) == 2 * len(rows.ROWS)


def test_rows_have_names():
    assert [rows.Row.named(str(row)) for row in rows.ROWS] == list(rows.ROWS)
    for text in ("VGG", "VGG, forward", "VGG, sleep, batch 1, float32", "VGX, forward, batch 1, float32"):
        with pytest.raises(ValueError, match="no row is called"):
            rows.Row.named(text)


def test_a_device_of_which_pytorch_tells_nothing(monkeypatch):
    """It is waited for as its specification says, also while its limits are measured; its memory is not known."""
    monkeypatch.setattr(machine, "SIZES", (32,))
    waits = []
    npu = Instruments(Device("npu", "meta", lambda: waits.append(1)), 1.0, 3)
    npu.find_limits(["float32"], 0.01)
    assert len(waits) > 4
    assert npu.limits.flops["float32"] > 0 < npu.limits.bandwidth

    def pedantic(call, setup, rounds, iterations):
        for _ in range(rounds):
            if setup:
                setup()
            npu.clock()
            call()
            npu.clock()

    def doubles(device):
        one = torch.ones(64, device=device)
        return SimpleNamespace(call=lambda: one + one, setup=None, shape=one.shape)

    # What a tensor of "meta" moves is not counted.
    info = npu.measure(SimpleNamespace(pedantic=pedantic), doubles("meta"), doubles("cpu"), "float32")
    assert info["peak_bytes"] is info["device_time"] is None
    assert torch.__version__ < "2.1" or info["share"] > 0  # before, FLOPs are not counted


def test_memory_bound_rows_find_the_cache_flushed(bench, monkeypatch):
    flushed = []
    monkeypatch.setattr(machine, "cache_flush", lambda device: lambda: flushed.append(device))
    bench("--benchmark-only", patterns=["AvgPool2d, inference, batch 1,*"]).assert_outcomes(passed=1, deselected=199)
    assert flushed or torch.__version__ < "2.1"  # where FLOPs are not counted, no limit is known to bind


SAMPLES = Samples((2.0, 1.0, 3.0), (4.0, 4.0, 4.0), None, 1)


def test_share_of_the_limit_that_binds():
    work = Work(flops=600, bytes=60, operations=3)
    assert roofline(2.0, work, 1000.0, 40.0) == (0.75, "memory")  # 1.5 s to move 60 bytes, 0.6 s to compute
    assert roofline(2.0, work, 300.0, 40.0) == (1.0, "compute")
    assert roofline(2.0, Work(None, 60, 3), 300.0, 40.0) == (None, None)
    assert roofline(2.0, Work(0, 60, 3), 300.0, 40.0) == (0.75, "memory")
    seen = figures(SAMPLES, work, Memory(7, 5), 1000.0, 40.0)
    assert seen["share"] == 0.75
    assert (seen["flops_per_second"], seen["bytes_per_second"]) == (300.0, 30.0)
    assert seen["wall"] == {"median": 2.0, "low": 1.0, "high": 3.0, "spread": 0.5}
    assert seen["noisy"]


def test_a_devices_own_time_counts():
    seen = figures(SAMPLES.__class__((2.0,), (2.0,), (1.0,), 1), Work(600, 60, 3), None, 1000.0, 40.0)
    assert seen["device_time"]["median"] == 1.0
    assert seen["share"] == 1.5
    assert seen["peak_bytes"] is None


def test_the_table_marks_what_is_noisy():
    info = {"row": "a", "device": "cpu", "mode": "eager"}
    one = info | figures(SAMPLES, Work(600, 60, 3), None, 1000.0, 40.0)
    other = info | {"device": "cuda", **figures(SAMPLES, Work(None, 60, 3), None, None, None)}
    head, first, second = table([one, other])
    assert head[0] == "row"
    assert first == ("cpu, a", "2.00 s", "[1.00, 3.00]", "75 %", "memory", "noisy, 50 %")
    assert second[0] == "cuda, a"


@pytest.fixture
def timed_suite(toy_suite, pytester):
    (toy_suite / "benchmarks").mkdir()
    (toy_suite / "benchmarks" / "test_nothing.py").write_text("def test_nothing(benchmark):\n    benchmark(int)\n")
    ini = toy_suite / "pyproject.toml"
    ini.write_text(ini.read_text() + '\ntestpaths = ["test_toy"]\n')


@pytest.mark.usefixtures("timed_suite")
def test_benchmark_only_runs_the_benchmarks(run):
    result = run("--benchmark-only")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["Name (time in*OPS*", "---*", "test_nothing *"])


@pytest.mark.usefixtures("timed_suite")
def test_timing_does_not_share_the_machine_with_workers(run):
    result = run("--benchmark-only", "-n", "2")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*timing and parallel workers do not go together: the benchmarks run alone"])


@pytest.mark.usefixtures("timed_suite")
def test_workers_leave_the_benchmarks_out_without_a_warning(run):
    result = run("-n", "2")
    result.assert_outcomes(passed=2)
    assert "Warning" not in result.stdout.str() + result.stderr.str()


ROWS_OF_ITS_OWN = """
import pytest

@pytest.mark.parametrize("row", [[1.0, 2.0], 3])
def test_sum(row):
    pass
"""


@pytest.mark.usefixtures("timed_suite")
def test_other_tests_may_have_rows_too(toy_suite, run):
    (toy_suite / "test_toy" / "test_sums.py").write_text(ROWS_OF_ITS_OWN)
    run().assert_outcomes(passed=4)
