"""The sources that a process under test is sent: the rows, the networks, the clocks."""

from __future__ import annotations

from pathlib import Path

from torchclaims.gate import GateError

PACKAGE = Path(__file__).resolve().parents[1]


def of_rows(home: Path) -> dict[str, str]:
    """Module names and texts of the benchmarks' rows below ``home``, and of what they import.

    Raises:
        GateError: there are no benchmarks there.
    """
    rows = home / "benchmarks" / "rows.py"
    if not rows.is_file():
        raise GateError(f"{rows} does not exist; run in a clone of torchclaims, or name a --subject of your own")
    models = {f"models.{path.stem}": path for path in (home / "models").glob("[!_]*.py")}
    return of_subject() | _read({"benchmarks.rows": rows, **models})


def of_subject() -> dict[str, str]:
    """Module names and texts of what any process needs: clocks, and what makes a subject of a user's function."""
    measure = {f"torchclaims.measure.{path.stem}": path for path in (PACKAGE / "measure").glob("[!_]*.py")}
    return _read({"torchclaims.gate.subject": PACKAGE / "gate" / "subject.py", **measure})


def _read(files: dict[str, Path]) -> dict[str, str]:
    """The texts, and an empty one for each package that they lie in."""
    names = [name.split(".") for name in files]
    packages = {".".join(parts[:length]): "" for parts in names for length in range(1, len(parts))}
    return packages | {name: path.read_text(encoding="utf-8") for name, path in files.items()}
