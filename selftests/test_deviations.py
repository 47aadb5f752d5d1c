"""Expected deviations: exact, strict, conditional, dated; and the drafts that a run gives."""

import json

import pytest
import tomllib

from selftests.toy import CLAIM, FAULT
from torchclaims import deviations
from torchclaims.__main__ import main

ENTRY = {
    "claim": "toy-relu-clips",
    "torch": ">=2.0",
    "raises": "AssertionError",
    "message": "seen 1",
    "reason": "it counts from one",
    "link": "https://example.org/1",
    "review": "2999-01-01",
}

TEST = """
import pytest
from torchclaims import claim

@claim("toy-relu-clips")
@pytest.mark.parametrize("case", ["low", "high"])
def test_relu(cell, case):
    {body}
"""
DEVIATES = "assert case == 'low' or 'float64' in str(cell), 'seen 1'"
CELLS = {"tests": ["test_relu[high]"], "dtype": ["float32"]}


def write(suite, *entries, name="deviations.toml"):
    lines = []
    for entry in entries:
        lines.append("[[deviation]]")
        lines += [f"{key} = {value if key == 'review' else json.dumps(value)}" for key, value in entry.items()]
    (suite / name).write_text("\n".join(lines))


@pytest.fixture
def suite(toy_suite):
    (toy_suite / "test_toy" / "test_relu.py").write_text(TEST.format(body=DEVIATES))
    return toy_suite


@pytest.mark.parametrize("workers", ["0", "2"])
def test_one_that_happens_as_stated(run, suite, workers):
    write(suite, ENTRY | CELLS)
    result = run("-n", workers, "--claims-json=verdict.json")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["deviates: toy-relu-clips: *", "    cpu-float32: it counts from one", "1 claims: 0 hold, 1 deviate, 0 broken*"]
    )
    document = json.loads((suite / "verdict.json").read_text())
    assert [one["link"] for one in document["deviations"]] == [ENTRY["link"]]
    (claim,) = document["claims"]
    assert claim["outcomes"]["deviates"] == 1
    assert claim["outcomes"]["passed"] == 3


def test_many_are_counted_and_listed_on_demand(run, suite):
    claims = "\n".join(CLAIM.replace("toy-relu-clips", f"toy-relu-clips-{n}") for n in range(30))
    names = ", ".join(f'"toy-relu-clips-{n}"' for n in range(30))
    (suite / "test_toy" / "claims.toml").write_text(claims)
    for name in ("test_relu.py", "faults.py"):
        path = suite / "test_toy" / name
        path.write_text(path.read_text().replace('"toy-relu-clips"', names))
    (suite / "test_toy" / "test_relu.py").write_text(
        TEST.replace('"toy-relu-clips"', names).format(body="assert 0, 'seen 1'")
    )
    write(suite, ENTRY | {"claim": "toy-relu-clips-0"})
    run().stdout.fnmatch_lines(["deviates: 30 claims, each as its entry expects; -v lists them"])
    run("-v").stdout.fnmatch_lines(["deviates: toy-relu-clips-29: *", "    *it counts from one"])


RED = {
    "does not happen": ("pass", {}, ["*the expected deviation did not happen: it counts from one*"]),
    "with another message": (
        "assert case == 'low' or 'float64' in str(cell), 'seen 2'",
        {},
        ["*expected deviation, not this one*"],
    ),
    "with another exception": ("assert case == 'low' or 'float64' in str(cell); int('x')", {"raises": "TypeError"}, []),
    "elsewhere too": ("assert False, 'seen 1'", {}, ["*3 failed, 1 xfailed*"]),
    "matches no test": (
        DEVIATES,
        {"tests": ["test_relu[middle]"]},
        ["*entry 1 (toy-relu-clips): matches no test of this run; *"],
    ),
    "past its date": (
        DEVIATES,
        {"review": "2020-02-02"},
        ["*entry 1 (toy-relu-clips): was to be looked at again by 2020-02-02; *"],
    ),
}


@pytest.mark.parametrize(("body", "changes", "lines"), RED.values(), ids=RED)
def test_red(run, suite, body, changes, lines):
    (suite / "test_toy" / "test_relu.py").write_text(TEST.format(body=body))
    write(suite, ENTRY | CELLS | changes)
    result = run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(lines)


def test_red_with_workers(run, suite):
    (suite / "test_toy" / "test_relu.py").write_text(TEST.format(body="pass"))
    write(suite, ENTRY | CELLS | {"tests": ["test_relu[high]"]}, ENTRY | {"tests": ["test_relu[middle]"]})
    result = run("-n", "2")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [RED["does not happen"][2][0], "*entry 2 (toy-relu-clips): matches no test of this run; *"]
    )


OUTSIDE = {
    "another release": {"torch": ">=99"},
    "another device": {"device": ["npu"]},
    "another CPU": {"cpu-flags": ["no_such_flag"]},
}


@pytest.mark.parametrize("changes", OUTSIDE.values(), ids=OUTSIDE)
def test_one_that_does_not_concern_this_run(run, suite, changes):
    (suite / "test_toy" / "test_relu.py").write_text(TEST.format(body="pass"))
    write(suite, ENTRY | changes)
    assert run().ret == 0


def test_a_run_of_one_dtype_is_not_asked_for_the_others(run, suite):
    (suite / "test_toy" / "test_relu.py").write_text(TEST.format(body="pass"))
    write(suite, ENTRY | CELLS)
    assert run("--dtype", "float64").ret == 0
    assert run("--dtype", "float32").ret == 1


@pytest.mark.parametrize(
    ("flags", "concerns"), [(["fpu"], 1), (["fpu", "!amx_bf16"], 1), (["!fpu"], 0), (["fpu", "amx_bf16"], 0)]
)
def test_flags_that_must_be_there_or_must_not(run, suite, monkeypatch, flags, concerns):
    monkeypatch.setattr(deviations, "cpu_flags", lambda: frozenset({"fpu"}))
    (suite / "test_toy" / "test_relu.py").write_text(TEST.format(body="pass"))
    write(suite, ENTRY | CELLS | {"cpu-flags": flags})
    assert run().ret == concerns


def test_the_flags_of_this_cpu(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("processor : 0\nflags\t\t: fpu amx_bf16\n")
    monkeypatch.setattr(deviations, "Path", lambda _: tmp_path / "cpuinfo")
    deviations.cpu_flags.cache_clear()
    try:
        assert deviations.cpu_flags() == {"fpu", "amx_bf16"}
    finally:
        deviations.cpu_flags.cache_clear()


def test_a_backend_adds_its_own(run, suite):
    write(suite, ENTRY | CELLS, name="npu.toml")
    assert run().ret == 1
    result = run("--deviations=npu.toml")
    assert result.ret == 0


BAD = {
    "unknown claim": ({"claim": "toy-relu-clip"}, "*there is no such claim; did you mean 'toy-relu-clips'?"),
    "no cell": ({"dtype": []}, "*'dtype' must be a list of texts with at least one; else no cell is left"),
    "a cell that the claim is not made for": (
        {"dtype": ["bfloat16"]},
        "*the claim is stated for float32, float64 only",
    ),
    "no test": ({"tests": ["test_rely"]}, "*no test of the claim matches 'test_rely'; did you mean 'test_relu'?"),
    "range": ({"torch": "2.6 and later"}, "*'torch' must be a range such as*"),
    "pattern": ({"message": "seen ("}, "*'message' is no regular expression*"),
    "date": ({"review": '"soon"'}, "*'review' must be a date such as 2027-06-01*"),
    "date and time": ({"review": "2027-06-01T10:00:00"}, "*'review' must be a date such as 2027-06-01*"),
    "key": ({"claims": "x"}, "*unknown key 'claims'; did you mean 'claim'?"),
    "text": ({"reason": ""}, "*'reason' must be a text*"),
}


@pytest.mark.parametrize(("changes", "line"), BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_used(run, suite, changes, line):
    write(suite, ENTRY, ENTRY | changes)
    result = run()
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: deviations.toml: entry 2 {line}"])


@pytest.mark.parametrize("text", ["[[deviation]", "claim = 1", "deviation = 3"])
def test_a_file_that_is_none(run, suite, text):
    (suite / "deviations.toml").write_text(text)
    result = run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: *deviations.toml: *"])


def test_a_file_that_is_not_there(run, suite):
    result = run("--deviations=npu.toml")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: *npu.toml*No such file*"])


def test_two_entries_for_one_test(run, suite):
    write(suite, ENTRY, ENTRY | CELLS)
    result = run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: deviations.toml: entry 2 * and deviations.toml: entry 1 * both concern *"])


MEND = FAULT.replace("relu_leaks", "relu_is_mended").replace("original(x) + 1e-3 * x", "original(x)")


def test_a_mend_is_noticed_by_its_proof(run, suite):
    """Where PyTorch deviates, a fault may be that it does what is documented."""
    body = "import torch.nn.functional as F, torch; assert F.relu(torch.ones(1)).item() == 2, 'seen 1'"
    (suite / "test_toy" / "test_relu.py").write_text(TEST.format(body=body))
    (suite / "test_toy" / "faults.py").write_text(FAULT.replace("1e-3 * x", "1"))
    write(suite, ENTRY)
    assert run().ret == 0
    result = run("--prove")
    assert result.ret == 0
    (suite / "test_toy" / "faults.py").write_text(FAULT.replace("1e-3 * x", "0"))
    assert run("--prove").ret == 1


def test_drafts(run, suite, capsys):
    run("--claims-json=run.json")
    capsys.readouterr()
    assert main(["deviations", "--from-json", str(suite / "run.json")]) == 0
    draft = capsys.readouterr().out
    (entry,) = tomllib.loads(draft)["deviation"]
    assert entry["claim"] == "toy-relu-clips"
    assert entry["dtype"] == ["float32"]
    (suite / "deviations.toml").write_text(draft.replace('"test_relu*"', '"test_relu[high]"'))
    assert run().ret == 0, "a draft, narrowed, is an entry"


@pytest.mark.parametrize("text", [None, "", "[]", '{"claims": 1, "torch": "2"}'])
def test_drafts_from_what_is_no_report(tmp_path, capsys, text):
    path = tmp_path / "run.json"
    if text is not None:
        path.write_text(text)
    assert main(["deviations", "--from-json", str(path)]) == 4
    captured = capsys.readouterr()
    assert captured.err.startswith("ERROR: ")
    assert captured.err.count("\n") == 1
    assert not captured.out
