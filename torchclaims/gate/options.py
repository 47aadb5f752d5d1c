"""What a user asks of the gate, on pytest's command line and on ``torchclaims gate``'s."""

from __future__ import annotations

import fnmatch
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from torchclaims.gate import GateError
from torchclaims.gate.interpreter import interpreter
from torchclaims.report import files

PRECISIONS = {"float32": "float32", "bfloat16": "bfloat16 autocast"}  # --dtype -> what rows are called
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}

# Option -> what pytest's and argparse's parsers are told; both take the same words.
OPTIONS: dict[str, dict[str, Any]] = {
    "--against": {
        "metavar": "PYTHON|FILE.json",
        "help": "compare with another build: its interpreter, or what an earlier --gate-json wrote",
    },
    "--candidate": {"metavar": "PYTHON", "help": "the interpreter of the build to be judged (default: this one)"},
    "--subject": {"metavar": "PKG.MOD:FUNCTION", "help": "time a function of your own, in both builds"},
    "--gate-threshold": {"metavar": "PERCENT", "default": "5%", "help": "a row is slower from here on (default: 5%%)"},
    "--gate-thresholds": {"metavar": "FILE", "help": "TOML: thresholds of single rows, which may be patterns"},
    "--gate-alpha": {"metavar": "PERCENT", "default": "1%", "help": "chance of a false alarm in the table (1%%)"},
    "--gate-budget": {"metavar": "TIME", "default": "10m", "help": "as in 90s, 10m, 1h (default: 10m)"},
    "--gate-undecided": {
        "choices": ["fail", "ok"],
        "default": "fail",
        "help": "whether rows that the budget left undecided end the run with 3 (the default) or 0",
    },
    "--gate-json": {"metavar": "FILE", "help": "keep the run, each process' figures included"},
    "--gate-markdown": {"metavar": "FILE", "help": "write the table for a pull request's comment"},
    "--gate-history": {"metavar": "FILE", "help": "add one line of JSON to FILE; torchclaims history plots it"},
}
REPORTS = ("--gate-json", "--gate-markdown", "--gate-history")


@dataclass(frozen=True)
class Request:
    """The options, read and checked. ``threshold`` and ``alpha`` are shares, ``budget`` is in seconds.

    One of ``baseline``, an interpreter, and ``stored``, a file, is set.
    """

    candidate: str
    baseline: str | None
    stored: Path | None
    subject: str | None
    threshold: float
    thresholds: Mapping[str, float]
    alpha: float
    budget: float
    undecided_ok: bool
    seed: int
    device: str = ""
    mode: str = "eager"
    precisions: tuple[str, ...] | None = None
    reports: Mapping[str, Path] = field(default_factory=dict)


def request(options: Any, *, against: str | None) -> Request:
    """The request that a parser's ``options`` make; ``against`` is None where the build is compared with itself.

    Raises:
        GateError: an option makes no sense, names no interpreter, or a report that could not be written.
    """
    candidate = interpreter("--candidate", options.candidate or sys.executable)
    stored = Path(against) if against is not None and against.endswith(".json") else None
    if stored is not None and not stored.is_file():
        raise GateError(f"--against: {stored} does not exist; name what an earlier --gate-json wrote")
    baseline = candidate if against is None else interpreter("--against", against) if stored is None else None
    if options.subject is not None and not re.fullmatch(r"[\w.]+:[\w.]+", options.subject):
        raise GateError(f"--subject: {options.subject!r} is not of the form package.module:function")
    reports = {option: Path(value) for option in REPORTS if (value := _value(options, option)) is not None}
    for option, path in reports.items():
        try:
            files.check_writable(option, path)
        except files.ReportError as error:
            raise GateError(str(error)) from None
    return Request(
        candidate,
        baseline,
        stored,
        options.subject,
        share("--gate-threshold", options.gate_threshold),
        _thresholds(Path(options.gate_thresholds)) if options.gate_thresholds is not None else {},
        share("--gate-alpha", options.gate_alpha),
        duration("--gate-budget", options.gate_budget),
        options.gate_undecided == "ok",
        options.seed,
        *_target(options),
        reports,
    )


def stray(options: Any) -> str | None:
    """The first option that was given though there is nothing to compare with; None if none was."""
    return next((name for name, words in OPTIONS.items() if _value(options, name) != words.get("default")), None)


def share(option: str, text: str) -> float:
    """``5%`` or ``0.05`` as a number.

    Raises:
        GateError: it is neither, or not between 0 and 1.
    """
    number = re.fullmatch(r"(\d+\.?\d*|\.\d+)(%?)", text.strip())
    value = float(number[1]) / (100 if number[2] else 1) if number else math.nan
    if not 0 < value < 1:
        raise GateError(f"{option}: {text!r} is no share between 0 and 1; write it as in 5% or 0.05")
    return value


def duration(option: str, text: str) -> float:
    """``90s``, ``10m`` or ``1h`` in seconds; a bare number is seconds.

    Raises:
        GateError: it is none of these, or not above zero.
    """
    number = re.fullmatch(r"(\d+\.?\d*|\.\d+)([smh]?)", text.strip())
    if not number or not float(number[1]):
        raise GateError(f"{option}: {text!r} is no time above zero; write it as in 90s, 10m or 1h")
    return float(number[1]) * UNITS[number[2] or "s"]


def selected(rows: Sequence[str], patterns: Sequence[str] | None) -> list[str]:
    """The rows that one of the patterns matches; all without patterns.

    Raises:
        GateError: a pattern matches none.
    """
    for pattern in patterns or ():
        if not fnmatch.filter(rows, pattern):
            raise GateError(f"--rows: no row matches {pattern!r}; there are {', '.join(rows[:3])}, ...")
    return [row for row in rows if patterns is None or any(fnmatch.fnmatch(row, pattern) for pattern in patterns)]


def _value(options: Any, option: str) -> Any:
    return getattr(options, option.removeprefix("--").replace("-", "_"))


def _target(options: Any) -> tuple[str, str, tuple[str, ...] | None]:
    """Device, mode and the rows' precisions; the gate compares on one device, in one mode."""
    for option in ("device", "mode"):
        if "," in (getattr(options, option) or ""):
            raise GateError(f"--{option}: the gate takes one, not {getattr(options, option)!r}")
    try:
        precisions = tuple(PRECISIONS[name.strip()] for name in options.dtype.split(",")) if options.dtype else None
    except KeyError as error:
        raise GateError(
            f"--dtype: the benchmarks have no rows in {error}; choose from {', '.join(PRECISIONS)}"
        ) from None
    return options.device or "", options.mode or "eager", precisions


def _thresholds(path: Path) -> dict[str, float]:
    """Rows, or patterns of them, and their thresholds.

    Raises:
        GateError: ``path`` cannot be read, is no TOML, or gives something else than shares.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise GateError(f"--gate-thresholds: cannot read {path}: {error}") from None
    return {row: share(f"--gate-thresholds: {path}: {row!r}", str(value)) for row, value in table.items()}
