"""Prints what a run costs in units of ``import torch``: CPU time of whole commands, interleaved in one go.

    python selftests/costs.py [ROUNDS]

Exits 1 if the suite costs 15 or more of them, or collection 1.5 or more.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

COMMANDS = {
    "import torch": (["-c", "import torch"], None),
    "collection": (["-m", "pytest", "-q", "--collect-only"], 1.5),
    "the suite": (["-m", "pytest", "-q", "-n", "0"], 15.0),
}


def cpu_seconds(arguments: list[str]) -> float:
    """User and system time of one Python process and its children.

    Raises:
        RuntimeError: the command failed, so that its time says nothing.
    """
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=Path(__file__).parent.parent,
        # Compiled files are kept, as they are for a user, also where the environment says not to.
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"python {' '.join(arguments)} failed:\n{output[-2000:]}")
    return usage.ru_utime + usage.ru_stime


def main(rounds: int) -> int:
    """Measures and prints; the exit code."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds + 1):
        for name, (arguments, _) in COMMANDS.items():
            seconds[name].append(cpu_seconds(arguments))
    too_slow = False
    for name, (_, limit) in COMMANDS.items():
        # The first round only warms the file cache.
        ratios = [own / unit for own, unit in zip(seconds[name][1:], seconds["import torch"][1:], strict=True)]
        ratio = statistics.median(ratios)
        too_slow |= limit is not None and ratio >= limit
        print(
            f"{name:12}  {statistics.median(seconds[name][1:]):6.2f} s CPU  {ratio:5.2f} x import torch"
            f"  (rounds {min(ratios):.2f} to {max(ratios):.2f}{f', limit {limit:g}' if limit else ''})"
        )
    return int(too_slow)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
