"""What goes wrong in a process of the gate: said, retried, and in the end a verdict of its own."""

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
from torchclaims.gate.decision import Rule
from torchclaims.gate.run import interruptible


@pytest.fixture
def live(pythons):
    """Runs one process of the candidate that times the row ``name``."""

    def run(name, **changes):
        with pairs.Processes(toy_job(**changes)) as processes:
            return processes.live(CANDIDATE, pythons[CANDIDATE], [name], [name])

    return run


def test_a_sound_process_sends_times_and_results(live):
    life = live("steady")
    assert life.void is None
    assert life.figures["steady"].keys() == {"cpu", "wall"}
    assert 0 < life.figures["steady"]["wall"] < 1
    assert life.results["steady"] == pairs.Result(None, [1.0, 2.0], 1e-6)


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
    life = live(name, silence=0.5)
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
    assert "prints" in life.figures
    assert life.void is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "message",
    [
        None,
        b"\x80\x04.",
        ["row", "steady", {"cpu": float("nan")}],
        ["row", "steady", {"cpu": -1.0}],
        ["row", "steady", {}],
        ["result", "steady", None, ["1"], 0.0],
        ["rows", [1]],
        ["sing", "steady"],
    ],
)
def test_what_is_no_message_is_refused(message):
    with pytest.raises(ValueError):
        pairs.Life(CANDIDATE).take(message)


def test_a_torch_that_cannot_be_imported_is_said(live):
    sources = toy_job().sources | {"torch": "raise ImportError('libcudart.so.12: cannot open shared object file')"}
    assert live("steady", sources=sources).void == (
        "cannot import torch: ImportError: libcudart.so.12: cannot open shared object file"
    )


def test_an_interpreter_without_torch_is_said(pythons):
    sources = {name: text for name, text in toy_job().sources.items() if name != "torch"}
    with pairs.Processes(toy_job(sources=sources)) as processes:
        life = processes.live(CANDIDATE, pythons[CANDIDATE], [])
    assert life.void == "cannot import torch: ModuleNotFoundError: No module named 'torch'"


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
        pairs.interpreter("--against", path)
    assert f"--against: {path} {said}" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_interpreter_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(GateError, match=r"^--against: cannot run .*nowhere: it is no program; check the path$"):
        pairs.interpreter("--against", str(tmp_path / "nowhere"))
    with pytest.raises(GateError, match=r"name its interpreter, as in .*bin/python$"):
        pairs.interpreter("--against", str(tmp_path))


def test_a_venv_stays_itself(tmp_path):
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    assert pairs.interpreter("--against", str(link)) == str(link)


def test_an_interpreter_that_prints_as_it_starts_is_void(tmp_path, pythons):
    script = write_script(tmp_path / "python", f'#!/bin/sh\necho garbage\nexec {pythons[CANDIDATE]} "$@"\n')
    with pairs.Processes(toy_job()) as processes:
        assert processes.live(CANDIDATE, script, ["steady"]).void == "prints something as it starts"


def test_a_path_with_a_space_is_a_path(tmp_path, pythons):
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "candidate").symlink_to(pythons[CANDIDATE])
    with pairs.Processes(toy_job()) as processes:
        assert processes.live(CANDIDATE, str(folder / "candidate"), ["steady"]).figures


def children():
    """This process' children, `ps` among them."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True).stdout
    return set(listed.split())


def test_ctrl_c_leaves_no_process(pythons):
    before = children()
    threading.Timer(0.7, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interruptible(), pairs.Processes(toy_job(silence=60.0)) as processes:
        processes.live(CANDIDATE, pythons[CANDIDATE], ["hangs"])
    assert time.monotonic() - started < 5
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


def test_both_sides_have_the_same_order_of_rows_and_a_coin_says_who_is_first(monkeypatch):
    monkeypatch.setattr(pairs.Processes, "live", lambda _, side, python, rows, check: pairs.Life(side, listed=rows))
    rng, names = random.Random(1), [str(number) for number in range(9)]
    unchecked: dict = dict.fromkeys(SIDES, ())
    drawn = [pairs.Processes(toy_job()).pair(dict.fromkeys(SIDES, ""), names, unchecked, rng) for _ in range(200)]
    assert 70 < sum(pair.first == BASELINE for pair in drawn) < 130
    assert all(pair.lives[BASELINE].listed == pair.lives[CANDIDATE].listed for pair in drawn)
    assert len({tuple(pair.lives[BASELINE].listed) for pair in drawn}) > 150
    assert all(next(iter(pair.lives)) == pair.first for pair in drawn)


@pytest.mark.parametrize(("chosen", "seen"), [(None, "passive"), ("ACTIVE", "active")])
def test_threads_wait_passively_unless_the_user_says_otherwise(live, monkeypatch, chosen, seen):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if chosen:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    assert live("steady").build["waiting"] == seen
