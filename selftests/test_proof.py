"""--prove: what counts as noticing a fault, and what does not."""

import pytest

from selftests.toy import TEST, write_room

HEADER = "import torch\nimport torch.nn.functional as F\nfrom torchclaims import breaks\n"


def fault(body):
    return f"{HEADER}\n@breaks('toy-relu-clips')\ndef relu_is_broken(patch):\n    'ReLU is broken.'\n    {body}\n"


UNPROVEN = {
    "unnoticed": (
        fault("patch(F, 'relu', lambda original: lambda x, inplace=False: original(x) * (1 + 1e-20))"),
        TEST,
        "none of 2 tests of toy-relu-clips noticed: ReLU is broken.",
    ),
    "crash": (
        fault("patch(F, 'relu', lambda original: lambda x, inplace=False: None)"),
        TEST,
        "crashed, which is not noticing: *AttributeError*",
    ),
    "in a fixture": (
        fault("patch(F, 'relu', lambda original: lambda x, inplace=False: x)"),
        """
        import pytest, torch
        from torchclaims import claim

        @pytest.fixture
        def clipped():
            output = torch.relu(torch.ones(1)), torch.nn.functional.relu(-torch.ones(1))
            assert output[1].item() == 0

        @claim("toy-relu-clips")
        def test_relu(clipped):
            pass
        """,
        "crashed, which is not noticing: * in setup: *",
    ),
    "not applied": (fault("patch(F, 'rellu', lambda original: original)"), TEST, "*has no attribute 'rellu'"),
    "nothing patched": (fault("pass"), TEST, "the fault is no fault: it patched nothing"),
    "a trace": (
        fault(
            "def make(original):\n        torch.nn.ReLU.forward = lambda self, x: x\n        return original\n"
            "    patch(F, 'relu', make)"
        ),
        TEST,
        "the fault left a trace: *",
    ),
    "a control that is red": (
        fault("patch(F, 'relu', lambda original: lambda x, inplace=False: x)"),
        TEST.replace("[0.0, 2.0]", "[9.0, 2.0]"),
        "the control, which changes nothing, turned this red: *",
    ),
}


@pytest.mark.parametrize(("faults", "test", "message"), UNPROVEN.values(), ids=UNPROVEN)
def test_unproven(run, toy_suite, faults, test, message, monkeypatch):
    import torch

    # A fault that leaves a trace must not leave it in this process.
    monkeypatch.setattr(torch.nn.ReLU, "forward", torch.nn.ReLU.forward)
    write_room(toy_suite, test=test, fault=faults)
    result = run("--prove")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*{message}"])
    result.stdout.fnmatch_lines(["unproven: toy-relu-clips", "1 claims, 1 unproven; 1 faults in 1 proofs: 0 noticed*"])


@pytest.mark.parametrize("workers", ["0", "2"])
def test_proven(run, workers):
    result = run("--prove", "-n", workers)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["1 claims, 0 unproven; 1 faults in 1 proofs: 1 noticed with the control green*"])


def test_each_claim_of_a_fault_must_be_broken(run, toy_suite):
    claims = (toy_suite / "test_toy" / "claims.toml").read_text()
    write_room(
        toy_suite,
        claims=claims + claims.replace("clips", "exists"),
        test=TEST + "\n@claim('toy-relu-exists')\ndef test_exists():\n    assert nn.ReLU()\n",
        fault=fault("patch(F, 'relu', lambda original: lambda x, inplace=False: x)").replace(
            "'toy-relu-clips'", "'toy-relu-clips', 'toy-relu-exists'"
        ),
    )
    result = run("--prove")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["unproven: toy-relu-exists", "2 claims, 1 unproven; 1 faults in 2 proofs: 1 noticed*"])


def test_faults_that_cannot_be_imported(run, toy_suite):
    write_room(toy_suite, fault=fault("pass") + "\nimport nowhere\n")
    result = run("--prove")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines + result.outlines if "faults.py: ModuleNotFoundError" in line]


def test_what_does_not_apply_is_not_proven_and_not_red(run, toy_suite):
    claims = toy_suite / "test_toy" / "claims.toml"
    claims.write_text(claims.read_text().replace('"2.0"', '"99.0"'))
    result = run("--prove")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*0 noticed with the control green, 0 not, 1 do not apply"])
