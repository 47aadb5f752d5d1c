"""The command line: what is selected, and what is refused with one line and exit 4."""

import pytest
import torch

SPEC = """
import torch
name = "cpu"
label = "queue"
calls = []
def synchronize(): calls.append("synchronize")
def seed(value): torch.manual_seed(value)
def memory_allocated(): return 0
"""

REFUSED = {
    "--device": ("cpu,warp", "--device: unknown 'warp'; choose from cpu"),
    "--dtype": ("float8", "--dtype: unknown 'float8'; choose from float32"),
    "--mode": ("jit", "--mode: unknown 'jit'; choose from eager"),
    "--memory-format": ("sparse", "--memory-format: unknown 'sparse'"),
    "--claims": ("toy-rlu*", "--claims: no claim matches 'toy-rlu*'; did you mean 'toy-relu-clips'"),
    "--device-spec": ("missing.py", "--device-spec: missing.py: FileNotFoundError"),
    "--claims-json": ("missing/verdict.json", "--claims-json: cannot write missing/verdict.json: No such file"),
    "--seed": ("-1", "--seed: -1 is neither 'random' nor a number"),
}


def assert_usage_error(result, message):
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.outlines + result.errlines if line.startswith("ERROR:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "worker"])
@pytest.mark.parametrize(("option", "value", "message"), [(o, *rest) for o, rest in REFUSED.items()], ids=REFUSED)
def test_refused(run, option, value, message, workers):
    assert_usage_error(run(*workers, f"{option}={value}"), message)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_an_absent_device_is_an_error(run):
    assert_usage_error(run("--device", "cuda"), "'cuda' was asked for, but this machine and PyTorch have cpu")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("raise OSError('no driver')", "spec.py: OSError: no driver"),
        ("label = 'queue'", "define name ="),
        ("name = 'warp'", "device 'warp' fails: RuntimeError"),
        ("name = 'cpu'\nseed = 3", "seed must be a function"),
        ("name = 'cpu'\ndef synchronize(): raise ValueError('lost')", "fails: ValueError: lost"),
        ("name = ", "spec.py: SyntaxError"),
    ],
)
def test_a_broken_device_spec(run, toy_suite, spec, message):
    (toy_suite / "spec.py").write_text(spec)
    assert_usage_error(run("--device-spec", "spec.py"), message)


def test_a_device_spec_adds_its_cells(run, toy_suite):
    (toy_suite / "spec.py").write_text(SPEC)
    result = run("--device-spec", "spec.py", "-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["device queue: *", "*test_relu?queue-float32? PASSED*"])


def test_a_selected_claim_only(run, toy_suite):
    (toy_suite / "test_toy" / "test_plain.py").write_text("def test_plain(): pass")
    run("--claims", "toy*").assert_outcomes(passed=2, deselected=1)


def test_what_a_claim_is_not_stated_for_says_so(run):
    result = run("--dtype", "float32,bfloat16", "--memory-format", "contiguous,channels_last", "-rs")
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(["*does not apply: toy-relu-clips is stated for float32, float64, not for bfloat16"])


def test_compiled_cells(pytester, toy_suite):
    claims = toy_suite / "test_toy" / "claims.toml"
    claims.write_text(claims.read_text() + 'modes = "all"')
    # In a process of its own: what the compiler imports cannot be imported twice.
    result = pytester.runpytest_subprocess("--mode", "eager,aot_eager", "--dtype", "float32", "--device", "cpu", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_relu?cpu-float32-aot_eager? PASSED*"])


def test_listing(run):
    result = run("--list-claims")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["test_toy", "  toy-relu-clips *torch.nn.ReLU*tests 1, faults 1", "1 claims"])


def test_help_does_not_import_torch(pytester, toy_suite):
    for option in ("--help", "--list-claims"):
        result = pytester.runpython_c(
            f"import sys, pytest\nassert pytest.main(['{option}']) == 0\nassert 'torch' not in sys.modules"
        )
        assert result.ret == 0, result.stderr.str()
