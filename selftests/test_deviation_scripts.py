"""The scripts under ``deviations/``: short, torch alone, and exit code 1 exactly where the entry says so."""

import ast
import multiprocessing
import os
import re
import runpy
import sys

import pytest
from packaging.version import Version

from torchclaims import catalogue, deviations
from torchclaims.targets import RELEASE

ROOT = catalogue.home()
SCRIPTS = sorted((ROOT / "deviations").glob("*.py"))
ENTRIES = deviations.load(ROOT / "deviations.toml", catalogue.load(ROOT))
NEWEST = Version("2.15")
SECONDS = 60


def run(script, output):
    """In a child: a script may crash the interpreter."""
    with open(output, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    runpy.run_path(script, run_name="__main__")


@pytest.fixture(scope="module")
def children():
    """Children that have torch imported already, which is most of what a script costs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])
    return context


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script(script, children, tmp_path):
    entries = [one for one in ENTRIES if one.script == script.name]
    assert entries, "no entry of deviations.toml names it"
    deviates = any(one.concerns(RELEASE) and one.concerns_cpu() for one in entries)
    child = children.Process(target=run, args=(str(script), str(tmp_path / "output")))
    child.start()
    child.join(SECONDS)
    if child.is_alive():
        child.kill()
        pytest.fail(f"it ran for more than {SECONDS} seconds")
    output = (tmp_path / "output").read_text()
    assert child.exitcode == int(deviates), output
    assert "documented" in output
    assert "seen" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_is_short_and_needs_torch_alone(script):
    text = script.read_text()
    assert len(text.splitlines()) <= 20
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert re.search("(import|from) torch", text)
    assert imported - {"torch"} <= sys.stdlib_module_names


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.origin)
def test_an_entry_can_be_looked_up(entry):
    assert entry.link == "unreported" or entry.link.startswith("https://")
    assert entry.script or not entry.concerns(NEWEST), "each deviation of the newest release has a script"
    assert entry.script is None or (ROOT / "deviations" / entry.script).is_file()
