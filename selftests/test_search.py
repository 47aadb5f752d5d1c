"""``--search``: finds, shrinks and prints counter-examples; the same ones from the same seed."""

import subprocess
import sys

import pytest

SEARCH = """
from torchclaims import claim
from torchclaims.search import search
from torchclaims.tolerance import assert_within

@claim("toy-relu-clips")
@search
def test_relu(cell, script):
    x = script.tensor("x", script.integers(0, 5, 2), special=True)
    out = script.run("out", "{expression}")
    assert_within(out, x.clip(0), 0.0, what="out", because="it only chooses")
"""
RELU = "torch.nn.functional.relu(x)"


def write(suite, expression):
    (suite / "test_toy" / "search.py").write_text(SEARCH.format(expression=expression))


def script_in(result):
    lines = [line.removeprefix("E").strip() for line in result.stdout.lines]
    start = lines.index("import torch")
    return "\n".join(
        lines[start : lines.index(next(line for line in lines[start:] if line.startswith("# off by"))) + 1]
    )


@pytest.mark.parametrize("workers", ["0", "2"])
def test_nothing_to_be_found(run, toy_suite, workers):
    write(toy_suite, RELU)
    result = run("--search", "30", "-n", workers)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["1 claims: 1 hold, 0 deviate, 0 broken, 0 not exercised"])
    result.assert_outcomes(passed=2)


def test_a_counter_example_is_a_script_of_its_own(run, toy_suite):
    write(toy_suite, f"{RELU} + (x > 3) * (x < inf)")
    first = run("--search", "300", "--dtype", "float32")
    assert first.ret == 1
    script = script_in(first)
    assert "torchclaims" not in script
    values = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert values.startswith("tensor([[")
    assert values.count(",") == 0, "it was shrunk to one number"
    assert script_in(run("--search", "300", "--dtype", "float32")) == script


def test_what_pytorch_refuses_is_found(run, toy_suite):
    write(toy_suite, "x.no_such_method()")
    result = run("--search", "5")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*# AttributeError: *no_such_method*"])


def test_only_searches_run(run, toy_suite):
    write(toy_suite, RELU)
    run().assert_outcomes(passed=2)
    assert "test_relu.py" not in run("--search", "2", "-v").stdout.str()


def test_a_file_with_an_unknown_claim(run, toy_suite):
    write(toy_suite, RELU)
    path = toy_suite / "test_toy" / "search.py"
    path.write_text(path.read_text().replace("toy-relu-clips", "toy-relu-clip"))
    assert run().ret == 4


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--search", "0"), "ERROR: --search: 0 cases are none; ask for at least 1"),
        (("--search", "2", "--prove"), "ERROR: --search and --prove are two jobs: ask for one"),
    ],
)
def test_what_cannot_be_asked(run, options, line):
    result = run(*options)
    assert result.ret == 4
    result.stderr.fnmatch_lines([line])


def test_without_hypothesis(run, monkeypatch):
    monkeypatch.delattr("hypothesis.HealthCheck")
    result = run("--search", "2")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --search needs Hypothesis: *"])


AGREE = """
import torch
from torchclaims import claim
from torchclaims.search import search

@claim("toy-relu-clips")
@search
def test_products(cell, script):
    layer = script.module("layer", "Linear(2, 1)")
    index = script.whole("index", (script.size(1, 3),), 0, 4, dtype=script.pick(torch.int64, torch.int32))
    assert index.max() <= 4
    script.tensor("x", (3, 2), step=0.5, grad=True)

    def formula(x, weight, bias):
        return x @ weight.T {sign} bias

    script.agree("layer(x)", formula, ["x", "layer.weight", "layer.bias"])
"""


@pytest.mark.parametrize(("sign", "result"), [("+", 0), ("-", 1)], ids=["right", "wrong"])
def test_a_formula_with_its_gradients(run, toy_suite, sign, result):
    (toy_suite / "test_toy" / "search.py").write_text(AGREE.format(sign=sign))
    assert run("--search", "20", "--dtype", "float32").ret == result
