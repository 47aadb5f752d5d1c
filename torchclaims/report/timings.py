"""What a run of the benchmarks measured, read from pytest-benchmark's JSON and checked against its schema."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchclaims.report.files import ReportError

SCHEMA = Path(__file__).with_name("benchmark.schema.json")

# Characters of what is wrong that an error quotes.
LONGEST = 150

# Plain values of the form that the schema describes, and the row's place in the file as "index"; units are SI.
Row = dict[str, Any]


@dataclass(frozen=True)
class Timings:
    """The rows and comparisons of a run, and the machine that it was made on."""

    rows: list[Row]
    comparisons: list[dict[str, Any]]
    machine: dict[str, Any]
    date: str


def load(path: Path) -> Timings:
    """What ``--benchmark-json`` wrote to ``path``.

    Raises:
        ReportError: it cannot be read, or is not what a run of torchclaims' benchmarks writes.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"cannot read {path}: {error}; name a file that --benchmark-json wrote") from None
    return parse(text, str(path))


def parse(text: str, origin: str) -> Timings:
    """The run that the JSON ``text`` reports; ``origin`` is what an error calls it.

    Raises:
        ReportError: it is not what a run of torchclaims' benchmarks writes.
    """
    import jsonschema

    try:
        report = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{origin} is not JSON: {error}; name a file that --benchmark-json wrote") from None
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    fault = jsonschema.exceptions.best_match(validator.iter_errors(report))
    if fault is not None:
        # The message may quote the whole value.
        message = fault.message if len(fault.message) <= LONGEST else f"... {fault.message[-LONGEST:]}"
        raise ReportError(f"{origin} is not what --benchmark-json of this release writes: {fault.json_path}: {message}")
    found = [one["extra_info"] for one in report["benchmarks"]]
    rows = [{**one, "index": index} for index, one in enumerate(found) if "row" in one]
    comparisons = [one for one in found if "comparison" in one]
    if not rows and not comparisons:
        raise ReportError(f"{origin}: none of its {len(found)} benchmarks is of torchclaims; there is nothing to show")
    return Timings(
        rows=rows,
        comparisons=comparisons,
        machine=report["machine_info"],
        date=report.get("datetime", ""),
    )


def _finite(number: str) -> float:
    if not math.isfinite(float(number)):
        raise ValueError(f"{number} is no finite number")
    return float(number)


def intensity(row: Row) -> float | None:
    """FLOPs for each byte moved; None where either is unknown or zero."""
    return row["flops"] / row["bytes"] if row["flops"] and row["bytes"] else None


def seconds(row: Row) -> dict[str, Any]:
    """The clock that a row's figures are about: the device's own, where there is one, else wall time."""
    time: dict[str, Any] = row["device_time"] or row["wall"]
    return time
