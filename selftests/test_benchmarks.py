"""Benchmarks: each body runs; they run alone, and stay out of other runs without a word."""

import subprocess
import sys

import pytest


def test_each_body_runs_once_untimed(pytestconfig):
    command = [sys.executable, "-m", "pytest", "-q", "benchmarks", "--benchmark-disable", "--device", "cpu"]
    command += ["--ignore", "benchmarks/test_comparisons.py"]  # which decide nothing untimed
    run = subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    assert " passed" in run.stdout
    assert "skipped" not in run.stdout


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
