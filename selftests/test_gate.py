"""The gate as a user meets it: options, exit codes, reports; with toy processes, or with pairs that are made up."""

import json
import math
import random
import subprocess
import sys

import jsonschema
import pytest

from selftests.toy_rows import toy_sources
from torchclaims.__main__ import main
from torchclaims.gate import BASELINE, CANDIDATE, SIDES, GateError, history, options, report, run, sources, stored
from torchclaims.gate.campaign import Campaign
from torchclaims.gate.decision import Rule
from torchclaims.gate.life import Life, Result
from torchclaims.gate.pairs import Pair

BUILD = {
    "executable": "/venv/bin/python",
    "python": "3.12.1",
    "torch": "2.13.0",
    "git": "0123456789",
    "cuda": None,
    "threads": 2,
    "waiting": "passive",
    "cpu": "EPYC",
    "device": "cpu",
    "device_description": "x86_64",
    "condition": ["a neighbour plays the drums"],
    "start": 0.5,
}


def made_up(ratios, count, noise=0.01, seed=1):
    """Pairs in which each row takes the candidate ``ratios[row]`` times as long, more or less."""
    rng = random.Random(seed)
    for _ in range(count):
        lives = {side: Life() for side in SIDES}
        for row, ratio in ratios.items():
            for side, factor in zip(SIDES, (1.0, ratio), strict=True):
                seconds = 1e-3 * factor * math.exp(rng.gauss(0, noise))
                lives[side].visits[row] = {"cpu": [seconds, 1.001 * seconds], "wall": [2 * seconds, 2 * seconds]}
                lives[side].results[row] = Result(None, [1.0, 2.0], 1e-6)
        yield Pair(rng.choice(SIDES), lives, 2.0)


def in_turns(row, *ratios):
    """A pair that took turns at ``row``, the candidate ``ratios`` times as long."""
    lives = {side: Life() for side in SIDES}
    for side, factors in zip(SIDES, ([1.0] * len(ratios), ratios), strict=True):
        lives[side].visits[row] = {"cpu": [1e-3 * one for one in factors], "wall": [2e-3 * one for one in factors]}
    return Pair(BASELINE, lives, 1.0)


def test_the_figure_of_a_pair_is_the_median_of_its_turns():
    campaign = Campaign(["row"], Rule(), lambda rows, checks: None, 600.0)
    for _ in range(8):
        campaign.take(in_turns("row", 3.0, 1.02, 1.02, 1.02, 0.2))
    assert campaign.verdicts()["row"].kinds["cpu"].estimate == pytest.approx(1.02)


@pytest.mark.parametrize("side", SIDES)
def test_a_pair_of_which_one_ends_badly_counts_no_row(side):
    campaign = Campaign(["row"], Rule(), lambda rows, checks: None, 600.0)
    pair = in_turns("row", 1.5, 1.5)
    pair.lives[side].void = "was killed"
    campaign.take(pair)
    assert pair.rows() == []
    assert campaign.verdicts()["row"].pairs == 0
    assert [void.side for void in campaign.voids] == [side]


@pytest.fixture
def asked(tmp_path):
    """A request, with what is to be changed in it."""

    def make(**changes):
        known = {
            name.removeprefix("--").replace("-", "_"): words.get("default") for name, words in options.OPTIONS.items()
        }
        parsed = {**known, "device": None, "mode": None, "dtype": None, "seed": 7, **changes}
        return options.request(type("Options", (), parsed), against=parsed["against"])

    return make


@pytest.fixture
def judged(asked):
    """A run whose pairs are made up."""

    def make(ratios, count=40, noise=0.01, **changes):
        one = run.Run(asked(**changes), home=None)
        one.builds = {side: dict(BUILD) for side in SIDES}
        pairs = made_up(ratios, count, noise)
        one.campaign = Campaign(list(ratios), Rule(), lambda rows, checks: next(pairs, None), 600.0)
        one.campaign.run(lambda _: None)
        return one

    return make


@pytest.mark.parametrize(
    ("ratios", "count", "state", "code"),
    [
        ({"a": 1.0}, 40, "not slower", 0),
        ({"a": 1.1}, 40, "slower", 1),
        ({"a": 0.8}, 40, "faster", 0),
        ({"a": 1.0}, 3, "undecided", 3),
    ],
)
def test_exit_codes(judged, ratios, count, state, code):
    one = judged(ratios, count)
    assert one.states() == {"a": state}
    assert one.exit_code() == code


def test_undecided_is_green_only_when_that_is_asked_for(judged):
    assert judged({"a": 1.0}, 3, gate_undecided="ok").exit_code() == 0
    assert judged({"a": 1.1, "b": 1.0}, 40, gate_undecided="ok").exit_code() == 1


def test_a_decided_row_is_not_run_again(judged):
    campaign = judged({"a": 1.0, "b": 1.3}).campaign
    pairs = {row: verdict.pairs for row, verdict in campaign.verdicts().items()}
    assert max(pairs.values()) == len(campaign.pairs)
    assert campaign.ended == "no row is open"


def test_the_budget_ends_it_before_a_pair_that_would_take_too_long(asked):
    now = iter(range(0, 10_000, 30))
    pairs = made_up({"a": 1.03}, 40, noise=0.2)
    campaign = Campaign(["a"], Rule(), lambda *_: next(pairs), 100.0, clock=lambda: next(now))
    campaign.run(lambda _: None)
    assert campaign.ended == "the budget ended"
    assert campaign.seconds <= 120


def test_the_table(judged):
    lines = list(report.summary(judged({"a": 1.0, "b": 1.2})))
    assert lines[0].split() == [*report.HEADS[:-1], "could", "see"]
    assert lines[1].startswith("a    not slower  0.9")
    assert lines[2].startswith("b    slower      1.")
    assert lines[-1].startswith("exit 1: slower")


def test_an_undecided_row_says_what_could_have_been_seen(judged):
    few, more = (report.table(judged({"a": 1.03}, count, noise=0.1))[0] for count in (2, 30))
    assert few.state == more.state == "undecided"
    assert few.cells()[-1] == "nothing yet"
    assert more.cells()[-1].startswith("+")


def test_markdown_folds_what_is_green_and_escapes(judged):
    text = report.markdown(judged({"a|<b>": 1.3, "quiet": 1.0}))
    assert text.startswith("### Is torch 2.13.0 slower than torch 2.13.0? slower")
    assert "| a\\|&lt;b> | slower |" in text
    assert text.index("a\\|") < text.index("<details><summary>1 rows not slower</summary>") < text.index("| quiet |")


def test_workflow_commands(judged):
    one = judged({"slow by 100%\nor so": 1.3, "quiet": 1.0})
    commands = list(report.workflow_commands(one))
    assert len(commands) == 1
    assert commands[0].startswith("::error title=slower::slow by 100%25%0Aor so slower")


def test_github_gets_annotations_and_a_step_summary(judged, monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    one = judged({"a": 1.3})
    assert report.write(one) == []
    assert (tmp_path / "summary.md").read_text().startswith("### Is torch")
    assert any(line.startswith("::error") for line in report.ending(one, []))


def test_a_stored_run_is_of_the_form_that_the_schema_describes(judged, tmp_path):
    path = tmp_path / "run.json"
    one = judged({"a": 1.0, "b": 1.2}, gate_json=str(path))
    assert report.write(one) == []
    schema = json.loads((run.sources.PACKAGE / "gate" / "gate.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    earlier = stored.load(path)
    assert earlier.build == BUILD
    first = earlier.next()
    assert first.visits == one.campaign.pairs[0].lives[CANDIDATE].visits
    assert first.results == one.campaign.pairs[0].lives[CANDIDATE].results


def test_a_stored_run_is_used_a_process_a_pair_and_then_it_is_over(judged, tmp_path):
    path = tmp_path / "run.json"
    report.write(judged({"a": 1.0}, 3, gate_json=str(path)))
    one = judged({"a": 1.0}, 0, against=str(path))
    fresh = (({CANDIDATE: pair.lives[CANDIDATE]}, 1.0) for pair in made_up({"a": 1.0}, 9))
    one.processes = type("Fake", (), {"live": lambda *_: next(fresh)})()
    one.compare(["a"], lambda _: None)
    assert len(one.campaign.pairs) == 3
    assert one.campaign.ended == "the stored run has no more processes"
    assert one.exit_code() == 3
    assert any(line.startswith("WARNING: the baseline was timed on 2") for line in report.header(one))


@pytest.mark.parametrize("key", ["cpu", "device", "device_description", "threads", "waiting"])
def test_a_stored_run_of_another_machine_is_refused(judged, tmp_path, key, monkeypatch):
    path = tmp_path / "run.json"
    report.write(judged({"a": 1.0}, gate_json=str(path)))
    one = judged({"a": 1.0}, against=str(path))
    here = BUILD | {key: 8 if key == "threads" else "other"}
    monkeypatch.setattr(run.Processes, "live", lambda *_, **__: ({CANDIDATE: Life(build=here)}, 1.0))
    with (
        pytest.raises(GateError, match=f"cannot be compared with this run: {key.replace('_', ' ')} was"),
        one.machine(),
    ):
        pass


def test_a_stored_run_of_other_dtypes_is_refused(judged, tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    report.write(judged({"a": 1.0}, gate_json=str(path)))
    one = judged({"a": 1.0}, against=str(path), dtype="bfloat16")
    monkeypatch.setattr(run.Processes, "live", lambda *_, **__: ({CANDIDATE: Life(build=BUILD)}, 1.0))
    with pytest.raises(GateError, match="precisions was None, is"), one.machine():
        pass


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot read"),
        ("[]", "is not what --gate-json of this release writes"),
        ('{"schema": "torchclaims-gate-0"}', "is not what --gate-json of this release writes"),
        ("\xff", "cannot read"),
    ],
)
def test_what_is_no_stored_run_is_one_line(asked, tmp_path, text, said):
    path = tmp_path / "run.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(GateError, match=said) as error:
        run.Run(asked(against=str(path)), home=None)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gate_threshold": "5 apples"}, "--gate-threshold: '5 apples' is no share between 0 and 1"),
        ({"gate_threshold": "-5%"}, "--gate-threshold: '-5%' is no share"),
        ({"gate_alpha": "0"}, "--gate-alpha: '0' is no share"),
        ({"gate_budget": "-1"}, "--gate-budget: '-1' is no time above zero"),
        ({"gate_budget": "0m"}, "--gate-budget: '0m' is no time above zero"),
        ({"subject": "f"}, "--subject: 'f' is not of the form package.module:function"),
        ({"device": "cpu,cuda"}, "--device: the gate takes one, not 'cpu,cuda'"),
        ({"dtype": "float16"}, "--dtype: the benchmarks have no rows in 'float16'"),
        ({"against": "nowhere.json"}, "--against: nowhere.json does not exist"),
        ({"gate_json": "/nowhere/run.json"}, "--gate-json: cannot write /nowhere/run.json"),
        ({"gate_thresholds": "/nowhere.toml"}, "--gate-thresholds: cannot read /nowhere.toml"),
    ],
)
def test_an_option_that_makes_no_sense_is_one_line(asked, change, said):
    with pytest.raises(GateError) as error:
        asked(**change)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_a_subject_that_neither_build_has_is_one_line(asked, monkeypatch):
    def live(processes, pythons, rows, checks):
        absent = {"mod:f": "ModuleNotFoundError: No module named 'mod'"}
        return {side: Life(absent=absent) for side in pythons}, 1.0

    monkeypatch.setattr(run.Processes, "live", live)
    one = run.Run(asked(against=sys.executable, subject="mod:f"), home=None)
    one.processes = run.Processes(None)
    with pytest.raises(GateError, match=r"^--subject: neither build has it: baseline: ModuleNotFoundError: "):
        one.compare(["mod:f"], lambda _: None)


def test_thresholds_of_single_rows(asked, tmp_path):
    path = tmp_path / "thresholds.toml"
    path.write_text('"VGG, *" = "20%"\n"nn.ReLU*" = 0.02\n')
    request = asked(gate_thresholds=str(path))
    assert run.of_rows(["VGG, step", "Linear"], request.thresholds) == {"VGG, step": 0.2}


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("45", 45)])
def test_durations(text, seconds):
    assert options.duration("--gate-budget", text) == seconds


def test_reports_on_a_disk_that_fills_up(judged, tmp_path, monkeypatch):
    one = judged({"a": 1.0}, gate_json=str(tmp_path / "run.json"), gate_history="/dev/shm/nowhere-yet")
    one.request.reports["--gate-history"] = run.Path("/dev/full")
    unwritten = report.write(one)
    assert unwritten == ["--gate-history: cannot add to /dev/full: No space left on device; it is as it was before"]
    assert (tmp_path / "run.json").exists()


def test_history_is_a_line_a_run_and_is_drawn(judged, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "history.jsonl"
    for ratio in (1.0, 1.2):
        report.write(judged({"a": ratio, "b": 1.0}, gate_history=str(path)))
    assert len(path.read_text().splitlines()) == 2
    assert main(["history", str(path), "--plot", str(tmp_path / "a.png"), "--rows", "a"]) == 0
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_history_that_is_none_is_one_line(tmp_path, capsys):
    path = tmp_path / "history.jsonl"
    path.write_text("{}\n")
    with pytest.raises(GateError, match="line 1 is none that --gate-history writes"):
        history.load(path)


@pytest.fixture
def gated_suite(toy_suite, pythons, monkeypatch):
    """A suite whose benchmarks are the toy rows, and the options that compare two interpreters."""
    (toy_suite / "benchmarks").mkdir()
    (toy_suite / "benchmarks" / "test_rows.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('row', ['steady', 'slower', 'exits', 'hangs'])\n"
        "def test_row(benchmark, row): raise AssertionError('timed here')\n"
        "def test_comparison(benchmark): raise AssertionError('decided here')\n"
    )
    monkeypatch.setattr(sources, "of_rows", lambda home: toy_sources())
    return ["--benchmark-only", f"--against={pythons[BASELINE]}", f"--candidate={pythons[CANDIDATE]}"]


def test_pytest_judges_the_benchmarks_that_it_selects(gated_suite, run, tmp_path):
    result = run(
        *gated_suite,
        "-k",
        "slower",
        f"--gate-json={tmp_path / 'run.json'}",
        "--gate-threshold",
        "20%",
        "--gate-alpha",
        "40%",
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "baseline: torch 0.0+toy (012345678), Python *baseline",
            "candidate: torch 0.0+toy (012345678), Python *candidate",
            "threshold 20 %, chance of a false alarm in the table at most 40 %, budget 600 s",
            "the machine is unfit: a neighbour plays the drums",
            "slower * slower *",
            "exit 1: slower*",
            f"written: {tmp_path / 'run.json'}",
        ]
    )
    assert json.loads((tmp_path / "run.json").read_text())["exit"] == 1


def test_pytest_says_what_died(gated_suite, run):
    result = run(*gated_suite, "-k", "exits")
    assert result.ret == 3
    result.stdout.fnmatch_lines(["exits  not comparable*", "void: pair 1: the * at exits ended with exit code 7"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gate-alpha", "5%"], "ERROR: --gate-alpha needs --against, which names the build to compare with"),
        (["--against", "python"], "ERROR: --against compares benchmarks: add --benchmark-only"),
        (["--benchmark-only", "--against", "/nowhere"], "ERROR: --against: cannot run /nowhere: *"),
    ],
)
@pytest.mark.usefixtures("gated_suite")
def test_a_call_that_makes_no_sense_is_one_line(run, arguments, said):
    result = run(*arguments)
    assert result.ret == 4
    result.stderr.fnmatch_lines([said])


def test_nothing_selected_is_one_line(gated_suite, run):
    result = run(*gated_suite, "-k", "nothing")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: no row of the benchmarks on cpu is selected*"])


def test_the_command_compares_and_is_interrupted(pythons, tmp_path):
    """SIGTERM leaves what is finished in the report, and no process."""
    path = tmp_path / "run.json"
    script = (
        "import sys, selftests.toy_rows as toy, torchclaims.__main__ as main; from torchclaims.gate import sources\n"
        "from torchclaims.gate import report; report.SAY_EVERY = 0\n"
        "sources.of_rows = lambda home: toy.toy_sources()\n"
        "sys.exit(main.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "gate", "--against", pythons[BASELINE], "--candidate", pythons[CANDIDATE]]
    command += ["--rows", "noisy", "--gate-json", str(path), "--seed", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("pair 2"):
                process.terminate()
        assert process.wait(10) == 2
    assert "exit 2: interrupted" in lines[-2]
    assert len(json.loads(path.read_text())["pairs"]) >= 2
    assert json.loads(path.read_text())["exit"] == 2


def test_calibration_says_what_this_machine_can_see(judged, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torchclaims.gate.accuracy.TABLES", 20)
    path = tmp_path / "run.json"
    report.write(judged({"a": 1.0, "b": 1.0}, gate_json=str(path)))
    assert main(["gate", "--calibrate", "--against", str(path), "--seed", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("8 pairs of 2 rows recorded; ")
    assert lines[1].startswith("as recorded, no pair used twice, ")
    assert lines[2].startswith("20 tables drawn from them")
    assert lines[3].startswith("no slowdown: red 0.0% [0.0%, ")
    assert lines[3].endswith("; promised: at most 1.0%")
    assert lines[-1].startswith("30 minutes see +")


def test_calibration_records_every_row_in_every_pair(pythons, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sources, "of_rows", lambda home: toy_sources())
    monkeypatch.setattr("torchclaims.gate.accuracy.lines", lambda pairs, *_: [f"{len(pairs)} pairs"])
    path = tmp_path / "run.json"
    call = ["gate", "--calibrate", "--candidate", pythons[CANDIDATE], "--rows", "steady", "--rows", "other"]
    assert main([*call, "--gate-budget", "3s", "--gate-json", str(path)]) == 0
    pairs = json.loads(path.read_text())["pairs"]
    assert all(pair[side]["visits"].keys() == {"steady", "other"} for pair in pairs for side in SIDES)


def test_calibration_of_two_builds_is_a_contradiction(capsys):
    assert main(["gate", "--calibrate", "--against", sys.executable]) == 4
    assert capsys.readouterr().err.startswith("ERROR: --calibrate: compares a build with itself")
