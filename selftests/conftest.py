"""Fixtures of the plugin's own tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from selftests.toy import write_room
from torchclaims.gate import SIDES

# A run inside this process forgets what it imported, and PyTorch's compiler cannot be imported twice. These import it.
torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled())
torch.compile(torch.relu, backend="eager")

INI = """
[tool.pytest.ini_options]
addopts = [
    "--import-mode=importlib", "--strict-markers", "--tb=short",
    "-p", "torchclaims.plugin", "-p", "no:randomly", "-p", "no:hypothesispytest",
]
xfail_strict = true
"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def toy_suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a suite with one room, one claim, one test, one fault; its runs are in no worker."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    # Files that a test writes twice in a second are as old as each other: the first's compiled code would be run again.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    pytester.makepyprojecttoml(INI)
    write_room(pytester.path)
    return pytester.path


@pytest.fixture
def run(toy_suite: Path, pytester: pytest.Pytester) -> Run:
    """Runs the toy suite in this process, with the given arguments."""
    return lambda *arguments: pytester.runpytest_inprocess("--device", "cpu", *map(str, arguments))


@pytest.fixture(scope="session")
def pythons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An interpreter for each side of the gate, by which the toy rows tell where they are."""
    folder = tmp_path_factory.mktemp("pythons")
    for side in SIDES:
        (folder / side).symlink_to(os.path.realpath(sys._base_executable))
    return {side: str(folder / side) for side in SIDES}
