"""Deviations: places where PyTorch is known not to do what it says, each exact, strict, conditional and dated.

``deviations.toml`` holds those of PyTorch itself, ``--deviations FILE`` adds a backend's own. Each entry names a claim,
the cells it concerns, the exception that is seen there and until when to look again. A test that an entry
matches is expected to fail in just that way (pytest's strict ``xfail``); one that passes or fails otherwise is red, and
so is an entry that matches no test or is past its date.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from torchclaims.catalogue import Catalogue, CatalogueError, Claim, read_toml, suggest

if TYPE_CHECKING:
    from torchclaims.targets import Cell

REQUIRED = ("claim", "torch", "raises", "message", "reason", "link", "review")
# What may restrict an entry to some cells, and the claim's own list that the values must be taken from, if any.
WHERE = {"device": None, "dtype": "dtypes", "mode": "modes", "memory-format": "memory_formats", "cpu-flags": None}
OPTIONAL = ("tests", "script", *WHERE)


@dataclass(frozen=True)
class Deviation:
    """One entry of a deviations file.

    ``tests`` are patterns with * and ? on ``function[case]``, the case without the cell; ``where`` maps a part of the
    cell to its admitted values, and ``cpu-flags`` to features that the CPU must have, as ``/proc/cpuinfo`` names them,
    or with a ``!`` before them must not have.
    """

    origin: str
    claim: str
    torch: SpecifierSet
    raises: str
    message: str
    reason: str
    link: str
    review: date
    tests: tuple[str, ...]
    where: dict[str, tuple[str, ...]]
    script: str | None = None

    def concerns(self, release: Version) -> bool:
        """Whether ``release`` lies in the entry's range."""
        return self.torch.contains(release, prereleases=True)

    def matches_cell(self, cell: Cell | None) -> bool:
        """Whether the entry concerns ``cell``; without a cell, whether it names no part of one."""
        if cell is None:
            return not self.where
        seen = {
            "device": cell.device.label,
            "dtype": str(cell.dtype).removeprefix("torch."),
            "mode": cell.mode,
            "memory-format": cell.memory_format,
        }
        if any(seen[part] not in values for part, values in self.where.items() if part in seen):
            return False
        return self.concerns_cpu()

    def concerns_cpu(self) -> bool:
        """Whether this machine's CPU has the features that the entry asks for, and none that it rules out."""
        flags = self.where.get("cpu-flags", ())
        return all((flag.removeprefix("!") in cpu_flags()) != flag.startswith("!") for flag in flags)

    def matches_test(self, name: str, cell: Cell | None) -> bool:
        """Whether the entry concerns the test ``name``, as pytest calls it, in ``cell``."""
        label = name if cell is None else name.replace(f"[{cell}]", "").replace(f"{cell}-", "", 1)
        return self.matches_cell(cell) and (not self.tests or any(_matches(label, one) for one in self.tests))

    def mark(self) -> pytest.MarkDecorator:
        """Expects the failure that the entry records, and no other."""

        def recorded(error: BaseException) -> bool:
            kind = type(error)
            return self.raises in (kind.__name__, f"{kind.__module__}.{kind.__qualname__}")

        return pytest.mark.xfail(
            reason=self.reason, strict=True, raises=pytest.RaisesExc(match=self.message, check=recorded)
        )


def _matches(label: str, pattern: str) -> bool:
    """As a shell would, except that brackets stand for themselves."""
    return fnmatchcase(label, pattern.replace("[", "[[]"))


@cache
def cpu_flags() -> frozenset[str]:
    """The features of this machine's CPU as Linux names them; none where there is no ``/proc/cpuinfo``."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    lines = (line.partition(":")[2].split() for line in text.splitlines() if re.match(r"(flags|Features)\s*:", line))
    return frozenset(next(lines, []))


def load(path: Path, catalogue: Catalogue) -> list[Deviation]:
    """The entries of a deviations file.

    Raises:
        CatalogueError: the file cannot be read, or an entry names an unknown claim, admits no cell, or has a range,
            a pattern or a date that is none; one line with file and entry.
    """
    entries = read_toml(path)
    if set(entries) - {"deviation"} or not isinstance(entries.get("deviation", []), list):
        raise CatalogueError(f"{path}: write each entry as a table [[deviation]]")
    return [
        _deviation(entry, f"{path.name}: entry {number}", catalogue)
        for number, entry in enumerate(entries.get("deviation", []), 1)
    ]


def _deviation(entry: dict[str, Any], where: str, catalogue: Catalogue) -> Deviation:
    name = entry.get("claim")
    where += f" ({name})" if name else ""
    for key in entry:
        if key not in REQUIRED + OPTIONAL:
            raise CatalogueError(f"{where}: unknown key {key!r}{suggest(key, REQUIRED + OPTIONAL)}")
    for key in REQUIRED:
        if key not in entry:
            raise CatalogueError(f"{where}: key {key!r} is missing")
    for key in ("claim", "torch", "raises", "message", "reason", "link"):
        if not isinstance(entry[key], str) or not (entry[key].strip() or key == "torch"):
            raise CatalogueError(f"{where}: {key!r} must be a text; it is {entry[key]!r}")
    if name not in catalogue.claims:
        raise CatalogueError(f"{where}: there is no such claim{suggest(str(name), catalogue.claims)}")
    return Deviation(
        origin=where,
        claim=str(name),
        torch=_range(entry["torch"], where),
        raises=entry["raises"],
        message=_pattern(entry["message"], where),
        reason=" ".join(entry["reason"].split()),
        link=entry["link"],
        review=_date(entry["review"], where),
        tests=_tests(entry, where, catalogue),
        where={part: _cells(entry, part, where, catalogue.claims[str(name)]) for part in WHERE if part in entry},
        script=entry.get("script"),
    )


def _range(text: str, where: str) -> SpecifierSet:
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        raise CatalogueError(f"{where}: 'torch' must be a range such as \">=2.6,<2.15\"; it is {text!r}") from None


def _pattern(text: str, where: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise CatalogueError(f"{where}: 'message' is no regular expression ({error}): {text!r}") from None
    return text


def _date(value: object, where: str) -> date:
    if type(value) is not date:
        raise CatalogueError(f"{where}: 'review' must be a date such as 2027-06-01, without quotes; it is {value!r}")
    return value


def _strings(entry: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    values = entry[key]
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        raise CatalogueError(f"{where}: {key!r} must be a list of texts with at least one; else no cell is left")
    return tuple(values)


def _tests(entry: dict[str, Any], where: str, catalogue: Catalogue) -> tuple[str, ...]:
    if "tests" not in entry:
        return ()
    functions = [test.function for test in catalogue.tests if entry["claim"] in test.claims]
    for pattern in _strings(entry, "tests", where):
        if not any(_matches(function, pattern.partition("[")[0]) for function in functions):
            raise CatalogueError(f"{where}: no test of the claim matches {pattern!r}{suggest(pattern, functions)}")
    return _strings(entry, "tests", where)


def _cells(entry: dict[str, Any], part: str, where: str, claim: Claim) -> tuple[str, ...]:
    values = _strings(entry, part, where)
    stated = getattr(claim, WHERE[part] or "", None)
    if stated is not None and not set(values) <= set(stated):
        raise CatalogueError(f"{where}: {part} {', '.join(values)}: the claim is stated for {', '.join(stated)} only")
    return values


def expected(deviations: Iterable[Deviation], name: str, cell: Cell | None) -> Deviation | None:
    """Of the entries of a claim the one that concerns its test ``name`` in ``cell``, or None.

    Raises:
        CatalogueError: two entries concern it.
    """
    matching = [one for one in deviations if one.matches_test(name, cell)]
    if len(matching) > 1:
        raise CatalogueError(f"{matching[1].origin} and {matching[0].origin} both concern {name}: keep one")
    return matching[0] if matching else None
