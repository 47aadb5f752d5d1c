"""The verdict: states, exit codes, failures that explain themselves, and the JSON file."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.resources import files

import jsonschema
import pytest

from selftests.toy import CLAIM
from torchclaims.__main__ import main

SCHEMA = json.loads((files("torchclaims.report") / "verdict.schema.json").read_text())


def verdict(path):
    """The file's content, valid by the schema."""
    document = json.loads(path.read_text())
    jsonschema.validate(document, SCHEMA)
    return document


def write_test(suite, body, header=""):
    (suite / "test_toy" / "test_relu.py").write_text(
        "import pytest, torch\nfrom torchclaims import claim\n"
        f"from torchclaims.tolerance import assert_within\n{header}\n"
        f"@claim('toy-relu-clips')\ndef test_relu(cell):\n    {body}\n"
    )


STATES = {
    "holds": ("assert True", 0),
    "broken": ("assert False", 1),
    "not exercised": ("pytest.skip('no time')", 1),
}


def test_an_expected_failure_that_no_file_states_is_broken(run, toy_suite):
    write_test(toy_suite, "pytest.xfail('known')")
    result = run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["broken: toy-relu-clips: *", "1 claims: 0 hold, 0 deviate, 1 broken*"])


def test_fewer_cells_than_the_claim_states(run, toy_suite):
    (toy_suite / "test_toy" / "claims.toml").write_text(CLAIM.replace("cells = 1", "cells = 3"))
    result = run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["not exercised: toy-relu-clips: *", "    1 of at least 3 cells did not run"])
    assert run("--dtype", "float32").ret == 0, "who asks for one dtype gets its cells only"


def test_a_row_for_each_claim(run):
    run("-v").stdout.fnmatch_lines(["*claims *holds *cells", "toy-relu-clips * 1 * 1 * 2"])


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(("state", "body", "code"), [(s, *rest) for s, rest in STATES.items()], ids=STATES)
def test_states(run, toy_suite, state, body, code, workers):
    write_test(toy_suite, body)
    result = run("-n", workers, "--claims-json", "verdict.json")
    assert result.ret == code
    document = verdict(toy_suite / "verdict.json")
    assert [one["state"] for one in document["claims"]] == [state]
    assert document["counts"][state] == 1
    assert len(document["claims"][0]["cells"]) == 2


def test_what_a_release_does_not_have_yet(run, toy_suite):
    (toy_suite / "test_toy" / "claims.toml").write_text(CLAIM.replace('"2.0"', '"99.0"'))
    result = run()
    assert result.ret == 1, "a run in which nothing ran is not green"
    result.stdout.fnmatch_lines(
        ["does not apply: 1 claims (toy-relu-clips): said since PyTorch 99.0; *", "1 claims: 0 hold*1 do not apply"]
    )


def test_a_failure_explains_itself(run, toy_suite):
    write_test(
        toy_suite,
        "assert_within(cell.tensor([1.0, 2.0, 4.0]), [1.0, 2.0, 3.0], 1e-3, what='output', because='one rounding')",
    )
    run("--dtype", "float32").stdout.fnmatch_lines(
        [
            "E   *output: 1 of 3 elements are off",
            "E   expected 3 at [[]2]",
            "E   seen     4",
            "E   off by   1, allowed 0.001: one rounding",
            "*- claim -*",
            "toy-relu-clips: ReLU leaves no negative number. (torch.nn.ReLU)",
            "cell cpu-float32, seed 1, in call",
            "pytest 'test_toy/test_relu.py::test_relu[[]cpu-float32]' --seed 1 --device cpu --dtype float32",
        ]
    )


def test_the_line_that_reproduces_a_failure_does(pytester, run, toy_suite):
    write_test(toy_suite, "drawn = torch.rand(1).item(); assert not drawn, drawn")
    seen = [line for line in run("--dtype", "float32").outlines if line.startswith("E ")]
    again = pytester.runpytest_inprocess(
        "test_toy/test_relu.py::test_relu[cpu-float32]", "--seed", "1", "--device", "cpu", "--dtype", "float32"
    )
    assert [line for line in again.outlines if line.startswith("E ")] == seen


def test_a_test_error_breaks_the_claim(run, toy_suite):
    write_test(toy_suite, "torch.set_default_dtype(torch.float64)")
    result = run("--claims-json", "verdict.json")
    assert result.ret == 1
    assert verdict(toy_suite / "verdict.json")["counts"]["broken"] == 1


def test_a_crash_of_the_process_breaks_the_claim(run, toy_suite):
    write_test(toy_suite, "import os; os._exit(3)")
    result = run("-n", "1", "--dtype", "float32", "--claims-json", "verdict.json")
    assert result.ret == 1
    (claim,) = verdict(toy_suite / "verdict.json")["claims"]
    assert claim["state"] == "broken"
    assert "crashed" in claim["cells"][0]["reason"]
    assert claim["cells"][0]["cell"] == "cpu-float32"


def test_serial_and_parallel_agree(run, toy_suite):
    documents = []
    for workers in ("0", "1", "2"):
        run("-n", workers, "--claims-json", "verdict.json")
        document = verdict(toy_suite / "verdict.json")
        documents.append(
            [(one["id"], one["state"], [(c["test"], c["outcome"]) for c in one["cells"]]) for one in document["claims"]]
        )
    assert documents[0] == documents[1] == documents[2]


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_its_report(toy_suite, signal_number):
    write_test(
        toy_suite,
        "pass",
        "import time\n@claim('toy-relu-clips')\ndef test_a():\n    pass\n"
        "@claim('toy-relu-clips')\ndef test_b():\n    open('started', 'w').close(); time.sleep(60)",
    )
    command = [sys.executable, "-m", "pytest", "--claims-json", "verdict.json", "--device", "cpu"]

    def mind_interrupts() -> None:  # which a job that a shell put into the background does not, nor its children
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        command, cwd=toy_suite, stdout=subprocess.PIPE, text=True, preexec_fn=mind_interrupts
    ) as process:
        while not (toy_suite / "started").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal_number)
        process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    document = verdict(toy_suite / "verdict.json")
    assert document["interrupted"]
    assert [cell["test"] for cell in document["claims"][0]["cells"]] == ["test_toy/test_relu.py::test_a"]


@pytest.mark.parametrize("path", ["/dev/null", "."])
def test_only_a_regular_file_is_written(run, path):
    result = run(f"--claims-json={path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*is not a regular file*"])


def test_an_old_report_is_kept_until_the_new_one_is_whole(run, toy_suite, monkeypatch):
    (toy_suite / "verdict.json").write_text("old")

    def no_space_left(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space_left)
    result = run("--claims-json", "verdict.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["ERROR: --claims-json: cannot write verdict.json: No space left on device*"])
    assert (toy_suite / "verdict.json").read_text() == "old"
    assert not [name for name in os.listdir(toy_suite) if name.startswith(".verdict")]


def test_runs_side_by_side(run, toy_suite, capsys):
    run("--claims-json=old.json")
    write_test(toy_suite, "assert False")
    run("--claims-json=new.json")
    capsys.readouterr()
    assert main(["compare", "old.json", "old.json"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "0 of 1 claims differ"
    assert main(["compare", "old.json", "new.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["toy-relu-clips", "holds", "broken"]
    (toy_suite / "other.json").write_text("{}")
    assert main(["compare", "old.json", "other.json"]) == 4
    assert capsys.readouterr().err.count("\n") == 1
