"""The history that ``--gate-history`` collects, a line of JSON a run, and its plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchclaims.gate import CANDIDATE, GateError
from torchclaims.gate.options import selected
from torchclaims.report import files


def load(path: Path) -> list[dict[str, Any]]:
    """The runs, in the order in which they were added.

    Raises:
        GateError: the file cannot be read, or a line is none of the gate's.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GateError(f"cannot read {path}: {error}; name a file that --gate-history wrote") from None
    runs = []
    for number, line in enumerate(lines, 1):
        try:
            run = json.loads(line)
            _ = run["started"], run["builds"][CANDIDATE]["torch"], run["rows"].items()
        except (ValueError, KeyError, TypeError, AttributeError):
            raise GateError(f"{path}: line {number} is none that --gate-history writes; delete it") from None
        runs.append(run)
    return runs


def plot(path: Path, picture: Path, patterns: Sequence[str] | None) -> int:
    """Draws the candidate's seconds a call of each row over the runs, and writes the picture; the result is 0.

    Raises:
        GateError: there is nothing to draw, no Matplotlib, or the picture cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise GateError("a plot needs Matplotlib: python -m pip install matplotlib") from None
    runs = load(path)
    names = list(dict.fromkeys(row for run in runs for row in run["rows"]))
    if not names:
        raise GateError(f"{path}: there is no run in it yet")
    rows = selected(names, patterns)
    figure = Figure(figsize=(8, 1.5 + 1.6 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    labels = [f"{run['started'][:10]}\ntorch {run['builds'][CANDIDATE]['torch']}" for run in runs]
    for row, ax in zip(rows, axes, strict=True):
        known = [(index, run["rows"][row]) for index, run in enumerate(runs) if run["rows"].get(row, {}).get("seconds")]
        ax.plot([index for index, _ in known], [1e3 * one["seconds"][CANDIDATE] for _, one in known], "o-", color="C0")
        red = [(index, 1e3 * one["seconds"][CANDIDATE]) for index, one in known if one["state"] == "slower"]
        ax.plot([index for index, _ in red], [value for _, value in red], "o", color="C3", label="slower")
        ax.set_title(row, loc="left", fontsize=9)
        ax.set_ylabel("ms")
        ax.set_ylim(bottom=0)
        ax.grid(alpha=0.3)
    axes[-1].set_xticks(range(len(runs)), labels, fontsize=7)
    try:
        files.check_writable("--plot", picture)
        figure.savefig(picture)
    except (files.ReportError, OSError, ValueError) as error:
        raise GateError(f"--plot: {error}") from None
    print(f"{len(rows)} rows of {len(runs)} runs drawn to {picture}")
    return 0
