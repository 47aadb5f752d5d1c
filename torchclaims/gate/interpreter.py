"""The Python interpreters that a user names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from torchclaims.gate import GateError, one_line

OLDEST_PYTHON = (3, 9)


def interpreter(option: str, name: str) -> str:
    """The absolute path of the Python interpreter ``name``, which must answer; symbolic links stay, as venvs need.

    Raises:
        GateError: there is none, it is no Python, or one that is too old.
    """
    found = shutil.which(name)
    if found is None:
        hint = (
            f"name its interpreter, as in {Path(name) / 'bin' / 'python'}" if Path(name).is_dir() else "check the path"
        )
        raise GateError(f"{option}: cannot run {name}: it is no program; {hint}")
    path = os.path.abspath(found)
    command = [path, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired) as error:
        raise GateError(f"{option}: {path} does not answer as a Python interpreter: {one_line(error)}") from None
    version = re.fullmatch(r"(\d+) (\d+)\n", answer.stdout)
    if answer.returncode or not version:
        said = (answer.stderr if answer.returncode else answer.stdout).strip()
        raise GateError(
            f"{option}: {path} does not answer as a Python interpreter: exit code {answer.returncode},"
            f" it prints {said[-100:]!r}"
        )
    if tuple(map(int, version.groups())) < OLDEST_PYTHON:
        raise GateError(f"{option}: {path} is Python {answer.stdout.strip().replace(' ', '.')}; 3.9 or later is needed")
    return path
