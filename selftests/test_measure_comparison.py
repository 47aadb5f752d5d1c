"""Two calls beside each other: what is decided, and what it takes to mislead it."""

import gc
import json
import os
import random
import shutil
from types import SimpleNamespace

import pytest
import torch

from torchclaims import targets
from torchclaims.measure import clocks, comparison
from torchclaims.measure.clocks import Clock
from torchclaims.measure.comparison import EQUAL, FASTER, SLOWER, UNRESOLVED, Ratio, compare


@pytest.mark.parametrize(
    ("low", "high", "margin", "expected", "verdict"),
    [
        (0.99, 1.01, 0.05, 1.0, EQUAL),
        (1 / 1.05, 1.05, 0.05, 1.0, EQUAL),
        (0.94, 1.01, 0.05, 1.0, UNRESOLVED),
        (0.99, 1.06, 0.05, 1.0, UNRESOLVED),
        (0.80, 1.20, 0.05, 1.0, UNRESOLVED),
        (1.02, 1.08, 0.05, 1.0, UNRESOLVED),
        (1.06, 1.08, 0.05, 1.0, SLOWER),
        (0.90, 0.95, 0.05, 1.0, FASTER),
        (1.001, 1.002, 0.0, 1.0, SLOWER),
        (0.998, 0.999, 0.0, 1.0, FASTER),
        (0.999, 1.001, 0.0, 1.0, UNRESOLVED),
        (1.95, 2.05, 0.1, 2.0, EQUAL),
        (0.99, 1.01, 0.1, 2.0, FASTER),
        (2.90, 3.10, 0.1, 2.0, SLOWER),
        (1.70, 1.90, 0.1, 2.0, UNRESOLVED),
    ],
)
def test_verdicts(low, high, margin, expected, verdict):
    assert Ratio((low * high) ** 0.5, low, high).verdict(margin, expected) == verdict


@pytest.mark.parametrize(
    ("ratio", "margin", "expected", "text"),
    [
        (Ratio(1.0, 0.99, 1.01), 0.05, 1.0, "A takes 1.00 times the time of B (0.99 to 1.01): equal within 5 %"),
        (Ratio(1.0, 0.9, 1.1), 0.05, 1.0, "A takes 1.00 times the time of B (0.90 to 1.10): not resolvable here"),
        (Ratio(0.8, 0.7, 0.9), 0.0, 1.0, "A takes 0.80 times the time of B (0.70 to 0.90): faster"),
        (Ratio(1.2, 1.1, 1.3), 0.05, 1.0, "A takes 1.20 times the time of B (1.10 to 1.30): slower by more than 5 %"),
        (Ratio(2.0, 1.9, 2.1), 0.1, 2.0, "A takes 2.00 times the time of B (1.90 to 2.10): 2 times within 10 %"),
        (
            Ratio(1.0, 0.9, 1.1),
            0.1,
            2.0,
            "A takes 1.00 times the time of B (0.90 to 1.10): faster than 2 times by more than 10 %",
        ),
    ],
)
def test_sentences(ratio, margin, expected, text):
    assert ratio.sentence("A", "B", margin, expected) == text


@pytest.mark.parametrize(("margin", "expected"), [(-0.1, 1.0), (0.1, 0.0), (0.1, float("inf")), (0.1, float("nan"))])
def test_senseless_margins_are_refused(margin, expected):
    with pytest.raises(ValueError, match=r"margin=.*: give"):
        Ratio(1.0, 0.9, 1.1).verdict(margin, expected)


class Machine:
    """Time that passes only in the calls that are timed: ``factor()`` times what each call should take."""

    def __init__(self, factor=lambda: 1.0):
        self.now = 0.0
        self.calls = 0
        self.factor = factor

    def builds(self, seconds, luck=lambda: 1.0):
        """Subjects of ``seconds`` a call, each times what ``luck`` it was made with."""

        def build():
            mine = seconds * luck()

            def call():
                self.calls += 1
                self.now += mine * self.factor()

            return call

        return build


@pytest.fixture
def machine(monkeypatch):
    """Makes a machine whose time the clocks read."""

    def make(**kwargs):
        made = Machine(**kwargs)
        fake = SimpleNamespace(perf_counter=lambda: made.now, process_time=lambda: made.now)
        monkeypatch.setattr(clocks, "time", fake)
        return made

    return make


def test_the_ratio_of_two_steady_calls(machine):
    one = machine()
    ratio = compare(one.builds(2e-3), one.builds(1e-3), Clock())
    assert (ratio.estimate, ratio.low, ratio.high) == pytest.approx((2, 2, 2))


def test_fast_calls_are_timed_in_blocks(machine):
    one = machine()
    ratio = compare(one.builds(3e-6), one.builds(1e-6), Clock(), pairs=6, seconds=0.01)
    assert (ratio.low, ratio.high) == pytest.approx((3, 3))
    assert one.calls > 6 * 5 * 1300


def test_a_machine_that_slows_down_misleads_nobody(machine):
    one = machine(factor=lambda: 1 + one.now)
    ratio = compare(one.builds(1e-3), one.builds(1e-3), Clock())
    assert one.now > 2, "it slowed down to a third"
    assert ratio.verdict(0.01) == EQUAL


def test_a_neighbour_that_comes_and_goes_misleads_nobody(machine):
    generator = random.Random(1)
    one = machine(factor=lambda: 3.0 if generator.random() < 0.3 else 1.0)
    assert compare(one.builds(1e-3), one.builds(1e-3), Clock()).verdict(0.05) == EQUAL
    assert compare(one.builds(1.2e-3), one.builds(1e-3), Clock()).verdict(0.05) == SLOWER


def test_luck_that_lasts_as_long_as_a_subject_is_in_the_interval(machine):
    generator = random.Random(1)
    one = machine()
    build = one.builds(1e-3, luck=lambda: generator.lognormvariate(0, 0.05))
    ratios = [compare(build, build, Clock(), seconds=0.01, seed=seed) for seed in range(400)]
    missed = sum(not ratio.low <= 1 <= ratio.high for ratio in ratios)
    # At most 5 %, and of 21 pairs the order statistics leave 2.7 %; of 400 more than 32 has a chance of 1 in 1,000.
    assert missed <= 32
    assert min(ratio.high / ratio.low for ratio in ratios) > 1.01


def test_queued_work_is_waited_for(machine):
    one = machine()
    queue = []

    def synchronize():
        one.now += sum(queue)
        queue.clear()

    def build(seconds):
        return lambda: lambda: queue.append(seconds)

    ratio = compare(build(2e-3), build(1e-3), Clock(synchronize), pairs=6, seconds=0.01)
    assert (ratio.low, ratio.high) == pytest.approx((2, 2))


def test_subjects_are_made_anew_in_random_order(machine):
    one = machine()
    made = []

    def build(name):
        def make():
            made.append(name)
            return one.builds(1e-3)()

        return make

    compare(build("first"), build("second"), Clock(), pairs=20, seconds=0.01)
    pairs = list(zip(made[::2], made[1::2], strict=True))
    assert {frozenset(pair) for pair in pairs} == {frozenset({"first", "second"})}
    assert 2 <= sum(pair[0] == "first" for pair in pairs) <= 18


def test_the_collector_rests(machine):
    one = machine()
    seen = set()

    def build():
        seen.add(gc.isenabled())
        return one.builds(1e-3)()

    compare(build, build, Clock(), pairs=6, seconds=0.01)
    assert seen == {False}
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"pairs": 5}, "pairs=5: give at least 6"), ({"kind": "device"}, "no device time"), ({"kind": "x"}, "no x time")],
)
def test_what_cannot_be_compared_is_refused(machine, options, message):
    one = machine()
    with pytest.raises(ValueError, match=message):
        compare(one.builds(1e-3), one.builds(1e-3), Clock(), **options)


def test_ten_times_the_work_is_noticed_in_earnest():
    x = torch.ones(64, 64)

    def build(times):
        return lambda: lambda: [x @ x for _ in range(times)]

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ratio = compare(build(10), build(1), Clock(), kind="cpu", pairs=6, seconds=0.01)
    finally:
        torch.set_num_threads(before)
    assert ratio.verdict(0.5) == SLOWER


@pytest.fixture
def comparisons(toy_suite, pytestconfig, run):
    """Runs the suite's comparisons beside the toy room."""
    shutil.copytree(pytestconfig.rootpath / "benchmarks", toy_suite / "benchmarks")
    shutil.copy(pytestconfig.rootpath / "articles.toml", toy_suite)
    return lambda *arguments: run("benchmarks/test_comparisons.py", *arguments)


def test_each_body_runs_untimed_and_decides_nothing(comparisons):
    result = comparisons("--benchmark-disable", "-rs")
    assert result.ret == 0
    assert set(result.parseoutcomes()) == {"skipped"}
    result.stdout.fnmatch_lines(["SKIPPED * does not apply: nothing is timed here; --benchmark-only does"])


FINDINGS = {
    "holds": (Ratio(1.3, 1.2, 1.4), 0, "relu-module-call-time *", "slower"),
    "broken": (Ratio(0.8, 0.7, 0.9), 1, "broken: relu-module-call-time: *", "faster"),
    "hidden by noise": (
        Ratio(1.0, 0.9, 1.1),
        0,
        "does not apply: 1 claims (relu-module-call-time): *not resolvable here",
        UNRESOLVED,
    ),
}


@pytest.mark.parametrize("finding", FINDINGS)
def test_what_becomes_of_a_claim(comparisons, toy_suite, monkeypatch, finding):
    ratio, code, line, verdict = FINDINGS[finding]
    monkeypatch.setattr(comparison, "compare", lambda *_, **__: ratio)
    result = comparisons("--benchmark-only", "-v", "-k", "one_element", "--benchmark-json=benchmarks.json")
    assert result.ret == code
    result.stdout.fnmatch_lines([line])
    (row,) = json.loads((toy_suite / "benchmarks.json").read_text())["benchmarks"]
    extra = row["extra_info"]
    assert extra["comparison"] == "relu-module-call-time: nn.ReLU of one element"
    assert extra["verdict"] == verdict
    assert extra["sentence"].startswith(f"nn.ReLU of one element takes {ratio.estimate:.2f} times the time of F.relu (")
    assert extra["ratio"] == {"estimate": ratio.estimate, "low": ratio.low, "high": ratio.high}
    assert extra["margin"] == 0.05
    assert "row" not in extra


QUEUEING_DEVICE = """
import os

name, label = "cpu", "npu"


def synchronize():
    os.environ["QUEUE"] = "waited for"
"""


def test_an_accelerator_is_compared_by_wall_time_behind_its_queue(comparisons, toy_suite, monkeypatch):
    seen = {}

    def compare(first, second, clock, kind):
        monkeypatch.setenv("QUEUE", "long")
        clock()
        seen.update(kind=kind, queue=os.environ["QUEUE"])
        return Ratio(1.3, 1.2, 1.4)

    (toy_suite / "npu.py").write_text(QUEUEING_DEVICE)
    monkeypatch.setattr(comparison, "compare", compare)
    monkeypatch.setattr(targets.Device, "is_cpu", False)
    result = comparisons("--benchmark-only", "-v", "-k", "one_element and npu", "--device-spec=npu.py")
    result.assert_outcomes(passed=1, deselected=23)
    assert seen == {"kind": "wall", "queue": "waited for"}


def test_a_proof_is_no_benchmark(comparisons, monkeypatch):
    monkeypatch.setattr(comparison, "compare", lambda *_, **__: Ratio(1.0, 0.999, 1.001))
    result = comparisons("--benchmark-only", "--prove", "--claims", "build-time")
    result.stdout.fnmatch_lines(["*none of 3 tests of build-time noticed: nn.Sequential runs its layers twice."])
    assert "Rounds" not in result.stdout.str()


def test_ordinary_runs_know_the_room_and_leave_it_alone(comparisons, run):
    result = run("test_toy")
    result.assert_outcomes(passed=2)
    assert result.ret == 0
    assert "relu-time" not in result.stdout.str()
