"""The comparison with the field's own timers runs, and its figures are in the same unit."""

import re
import sys
from types import SimpleNamespace

import pytest
import torch

from selftests import agreement

ROW = "Linear, inference, batch 1, float32"


def test_a_row_on_the_cpu(capsys):
    agreement.main(["--seconds", "0.005", "--turns", "3", ROW, "no such row"])
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(ROW))
    ours, theirs, ratio = map(float, re.findall(r"\d+\.\d+", line))
    # The same work, however loaded the machine; of turns this short the medians' ratio is not the ratios' median.
    assert 0.05 < ours / theirs < 20
    assert 0.05 < ratio < 20


@pytest.mark.parametrize(("theirs", "code"), [(2e-3, 0), (2.05e-3, 0), (2.2e-3, 1), (0.02e-3, 1)])
def test_agreement_is_within_three_per_cent_above_a_millisecond(monkeypatch, capsys, theirs, code):
    ways = (lambda *_: 2e-3, lambda *_: theirs)
    monkeypatch.setattr(agreement, "PAIRS", {"toy": ways})
    assert agreement.main(["--turns", "6", ROW]) == code
    side = "above" if theirs > 1e-3 else "below"
    assert f"toy, {side} 1 ms: 1 {'apart' if code else 'agrees'}" in capsys.readouterr().out


def test_turns_that_contradict_each_other_resolve_nothing(monkeypatch, capsys):
    theirs = iter([1.0, 1.1, 1.1, 3.0, 3.0, 1.1, 1.0, 3.0])
    monkeypatch.setattr(agreement, "PAIRS", {"toy": (lambda *_: 2.0, lambda *_: next(theirs))})
    assert agreement.main(["--turns", "8", ROW]) == 0
    assert "toy, above 1 ms: 1 not resolvable here" in capsys.readouterr().out


def test_do_bench_is_asked_for_a_median_in_seconds(monkeypatch):
    asked = {}

    def do_bench(call, **options):
        asked.update(options)
        return 7.0

    monkeypatch.setitem(sys.modules, "triton.testing", SimpleNamespace(do_bench=do_bench))
    assert agreement.by_do_bench(int, "cuda", 0.5) == 7e-3
    assert asked == {"warmup": 50, "rep": 500, "return_mode": "median"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["no such row"], "no row matches 'no such row'; they are called like '"),
        (["--seconds", "-1"], "seconds=-1.0: give a time above zero"),
        pytest.param(
            ["--device", "cuda"],
            "",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="a run without CUDA is what this is about"),
        ),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, line):
    assert agreement.main(arguments) == 4
    said = capsys.readouterr().out
    assert said.startswith(line)
    assert len(said.splitlines()) == 1
