"""What goes wrong in a process of the gate: said, retried, and in the end a verdict of its own."""

import math
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from selftests.toy_rows import toy_job
from torchclaims.gate import BASELINE, CANDIDATE, SIDES, GateError, pairs
from torchclaims.gate.campaign import Campaign
from torchclaims.gate.child import VISITS
from torchclaims.gate.decision import Rule
from torchclaims.gate.interpreter import interpreter
from torchclaims.gate.life import Life, Result
from torchclaims.gate.run import interruptible


@pytest.fixture
def live(pythons):
    """Runs one process of the candidate that times the row ``name``."""

    def run(name, **changes):
        with pairs.Processes(toy_job(**changes)) as processes:
            return processes.live({CANDIDATE: pythons[CANDIDATE]}, [name], {CANDIDATE: [name]})[0][CANDIDATE]

    return run


def test_a_sound_process_sends_times_and_results(live):
    life = live("steady")
    assert life.void is None
    assert life.visits["steady"].keys() == {"cpu", "wall"}
    assert len(life.visits["steady"]["wall"]) == life.turns["steady"] == VISITS
    assert 0 < life.median("steady", "wall") < 1
    assert life.results["steady"] == Result(None, [1.0, 2.0], 1e-6)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("exits", "ended with exit code 7"),
        ("segfaults", "was killed by SIGSEGV in "),
        ("killed", "was killed by SIGKILL, as happens when memory runs out"),
        ("aborts", "was killed by SIGABRT in "),
        ("hangs", "hangs in "),
        ("stops", "hangs"),
    ],
)
def test_a_process_that_ends_badly_is_void_at_its_row(live, name, reason):
    life = live(name)
    assert life.void.startswith(reason)
    assert life.row == name


@pytest.mark.parametrize(
    ("name", "reason"), [("out of memory", "MemoryError"), ("raises", "RuntimeError: not on a Tuesday")]
)
def test_an_exception_is_the_rows_own(live, name, reason):
    life = live(name)
    assert life.errors == {name: reason}
    assert life.void is None


def test_what_a_process_prints_disturbs_nobody(live, capfd):
    life = live("prints")
    assert "prints" in life.visits
    assert life.void is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "message",
    [
        None,
        b"\x80\x04.",
        ["visit", "steady", {"cpu": float("nan")}],
        ["visit", "steady", {"cpu": -1.0}],
        ["visit", "steady", {}],
        ["turns", "steady", 0],
        ["result", "steady", None, ["1"], 0.0],
        ["rows", [1]],
        ["sing", "steady"],
    ],
)
def test_what_is_no_message_is_refused(message):
    with pytest.raises(ValueError):
        Life().take(message)


def test_a_torch_that_cannot_be_imported_is_said(live):
    sources = toy_job().sources | {"torch": "raise ImportError('libcudart.so.12: cannot open shared object file')"}
    assert live("steady", sources=sources).void == (
        "cannot import torch: ImportError: libcudart.so.12: cannot open shared object file"
    )


def test_an_interpreter_without_torch_is_said(pythons):
    sources = {name: text for name, text in toy_job().sources.items() if name != "torch"}
    with pairs.Processes(toy_job(sources=sources)) as processes:
        lives, _ = processes.live({CANDIDATE: pythons[CANDIDATE]})
    assert lives[CANDIDATE].void == "cannot import torch: ModuleNotFoundError: No module named 'torch'"


def write_script(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\necho garbage\n", "does not answer as a Python interpreter: exit code 0, it prints 'garbage'"),
        ("#!/bin/sh\necho no >&2; exit 3\n", "does not answer as a Python interpreter: exit code 3, it prints 'no'"),
        ("#!/bin/sh\necho 3 8\n", "is Python 3.8; 3.9 or later is needed"),
        ("not a program\n", "does not answer as a Python interpreter: "),
    ],
)
def test_what_is_no_interpreter_is_one_line(tmp_path, script, said):
    path = write_script(tmp_path / "python", script)
    with pytest.raises(GateError) as error:
        interpreter("--against", path)
    assert f"--against: {path} {said}" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_interpreter_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(GateError, match=r"^--against: cannot run .*nowhere: it is no program; check the path$"):
        interpreter("--against", str(tmp_path / "nowhere"))
    with pytest.raises(GateError, match=r"name its interpreter, as in .*bin/python$"):
        interpreter("--against", str(tmp_path))


def test_a_venv_stays_itself(tmp_path):
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    assert interpreter("--against", str(link)) == str(link)


def test_an_interpreter_that_prints_as_it_starts_is_void(tmp_path, pythons):
    script = write_script(tmp_path / "python", f'#!/bin/sh\necho garbage\nexec {pythons[CANDIDATE]} "$@"\n')
    with pairs.Processes(toy_job()) as processes:
        lives, _ = processes.live({CANDIDATE: script}, ["steady"])
    assert lives[CANDIDATE].void == "prints something as it starts"


def test_a_path_with_a_space_is_a_path(tmp_path, pythons):
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "candidate").symlink_to(pythons[CANDIDATE])
    with pairs.Processes(toy_job()) as processes:
        lives, _ = processes.live({CANDIDATE: str(folder / "candidate")}, ["steady"])
    assert lives[CANDIDATE].visits


def children():
    """This process' children, `ps` among them."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True).stdout
    return set(listed.split())


def test_ctrl_c_leaves_no_process(pythons):
    before = children()
    threading.Timer(0.7, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interruptible(), pairs.Processes(toy_job(silence=60.0)) as processes:
        processes.live(pythons, ["hangs"])
    assert time.monotonic() - started < 30  # half as long as a silent process is waited for
    assert len(children() - before) <= 1


def compare(pythons, rows, count=4, **changes):
    with pairs.Processes(toy_job(**changes)) as processes:
        rng = random.Random(1)
        drawn = iter(range(count))

        def draw(rows, checks):
            return processes.pair(pythons, rows, checks, rng) if next(drawn, None) is not None else None

        campaign = Campaign(rows, Rule(), draw, budget=60.0)
        campaign.run(lambda _: None)
    return campaign


def test_a_row_that_kills_its_process_is_left_after_three_and_the_others_go_on(pythons):
    campaign = compare(pythons, ["exits", "steady"], count=5)
    assert campaign.fates["exits"].state == "not comparable"
    assert len(campaign.voids) == 6
    assert campaign.verdicts()["steady"].pairs == 2


@pytest.mark.parametrize(
    ("name", "state"), [("new", "new"), ("gone", "failed"), ("fails here", "failed"), ("failed there", "new")]
)
def test_a_row_that_one_side_has_not(pythons, name, state):
    campaign = compare(pythons, [name])
    assert campaign.fates[name].state == state
    assert not campaign.voids


def test_a_row_that_dies_on_the_candidate_only_has_failed(pythons):
    campaign = compare(pythons, ["dies here"])
    assert campaign.fates["dies here"].state == "failed"
    assert campaign.fates["dies here"].reason == "candidate: ended with exit code 9 (3 times)"
    assert [void.side for void in campaign.voids] == [CANDIDATE] * 3


def test_a_row_that_dies_on_the_baseline_only_is_not_comparable(pythons):
    campaign = compare(pythons, ["died there"])
    assert campaign.fates["died there"].state == "not comparable"
    assert campaign.fates["died there"].reason == "baseline: ended with exit code 9 (3 times)"


def test_other_results_are_a_finding(pythons):
    campaign = compare(pythons, ["differs", "wrong", "was wrong", "steady"], count=1)
    assert {(one.row, one.text, one.is_red) for one in campaign.findings} == {
        ("differs", "the results differ by 0.5, allowed 2e-06", True),
        ("wrong", "the candidate's output is off by 0.5, allowed 1e-06", True),
        ("was wrong", "the baseline's output is off by 0.5, allowed 1e-06", False),
    }


def test_both_take_turns_and_turns_at_being_first(monkeypatch):
    """At rows in a random order, the same for both; a coin says who begins."""
    asked = []

    class Recorded:
        def __init__(self, group, python, job):
            self.python, self.life = python, Life()

        def wait(self):
            asked.append((self.python, "ready", None))

        def ask(self, what, row=None):
            asked.append((self.python, what, row))
            self.life.turns[row] = 3

        def close(self):
            asked.append((self.python, "close", None))

    monkeypatch.setattr(pairs, "Process", Recorded)
    processes, rng, names = pairs.Processes(toy_job()), random.Random(1), ["a", "b", "c"]
    firsts, orders = [], set()
    for _ in range(200):
        asked.clear()
        pair = processes.pair({BASELINE: "old", CANDIDATE: "new"}, names, pairs.NO_CHECKS, rng)
        turns = [(who, row) for who, what, row in asked if what == "visit"]
        one, other = ("old", "new") if pair.first == BASELINE else ("new", "old")
        rows = [row for who, row in turns[:6:2]]
        sweep = [(who, row) for row in rows for who in (one, other)]
        back = [(who, row) for row in rows for who in (other, one)]
        assert turns == [*sweep, *back, *sweep]
        firsts.append(pair.first)
        orders.add(tuple(rows))
    assert 70 < firsts.count(BASELINE) < 130
    assert len(orders) == 6


def test_who_is_alone_with_a_row_only_shows_that_it_works(pythons):
    with pairs.Processes(toy_job()) as processes:
        lives, _ = processes.live(pythons, ["gone", "steady"])
    assert len(lives[BASELINE].visits["gone"]["cpu"]) == 1
    assert "gone" in lives[CANDIDATE].absent
    assert len(lives[BASELINE].visits["steady"]["cpu"]) == VISITS


def test_what_slows_both_for_a_while_leaves_no_trace():
    """The machine is half as fast in some turns; the candidate takes 1 % longer in all."""
    lives = {side: Life() for side in SIDES}
    for disturbed in (1, 1, 2, 2, 2, 1, 2):
        for side, seconds in zip(SIDES, (1e-3, 1.01e-3), strict=True):
            lives[side].take(["visit", "row", {"cpu": disturbed * seconds}])
    assert pairs.Pair(BASELINE, lives, 1.0).log_ratios("row")["cpu"] == pytest.approx([math.log(1.01)] * 7)
    assert len(pairs.Pair(None, lives, 1.0).log_ratios("row")["cpu"]) == 1


@pytest.mark.parametrize(("chosen", "seen"), [(None, "passive"), ("ACTIVE", "active")])
def test_threads_wait_passively_unless_the_user_says_otherwise(live, monkeypatch, chosen, seen):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if chosen:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    assert live("steady").build["waiting"] == seen
