"""``torchclaims``: what is done with the catalogue and with reports, outside a test run."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from torchclaims import catalogue as catalogues
from torchclaims.gate import GateError
from torchclaims.gate import command as gate
from torchclaims.report import record
from torchclaims.report.files import ReportError, check_writable
from torchclaims.report.verdict import SCHEMA

# How long after it was drafted an expected deviation should be looked at again.
REVIEW_AFTER = timedelta(days=180)


class CommandError(Exception):
    """A command that cannot be carried out; the message is one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; the result is the exit code, 4 for whatever is wrong with the call or a file."""
    parser = argparse.ArgumentParser(prog="torchclaims", description="Does your PyTorch do what PyTorch says?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("coverage", help="which documented objects have claims")
    command.add_argument("--missing", action="store_true", help="only those that have none")
    command.set_defaults(lines=lambda options: coverage(missing=options.missing))
    command = commands.add_parser("deviations", help="draft deviations.toml entries from what a run found broken")
    command.add_argument("--from-json", required=True, type=Path, metavar="FILE", help="what --claims-json wrote")
    command.set_defaults(lines=lambda options: drafts(options.from_json, date.today()))
    command = commands.add_parser("compare", help="the claims whose state differs between runs")
    command.add_argument("reports", nargs="+", type=Path, metavar="FILE", help="what --claims-json wrote, a build each")
    command.set_defaults(lines=lambda options: comparison(options.reports))
    gate.add(commands)
    for name, purpose in (("page", "what the benchmarks measured, as a page"), ("roofline", "its roofline plot alone")):
        command = commands.add_parser(name, help=purpose)
        command.add_argument("run", type=Path, metavar="FILE", help="what --benchmark-json wrote")
        command.add_argument(
            "-o", "--output", required=True, type=Path, metavar="FILE", help="HTML" if name == "page" else "SVG"
        )
        command.set_defaults(lines=lambda options, name=name: drawn(name, options.run, options.output))
    options = parser.parse_args(arguments)
    try:
        if "ends_with" in options:
            code: int = options.ends_with(options)
            return code
        for line in options.lines(options):
            print(line)
    except (CommandError, GateError, ReportError, catalogues.CatalogueError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 4
    except BrokenPipeError:  # the reader, `| head`, has seen enough
        sys.stderr.close()
    return 0


def coverage(*, missing: bool = False) -> Iterator[str]:
    """The table of documented objects: how many claims have each as their source.

    Raises:
        CatalogueError: the catalogue cannot be read.
    """
    from torchclaims.documentation import coverage as counted

    for namespace, counts in counted(catalogues.load(catalogues.home())).items():
        covered = sum(count > 0 for count in counts.values())
        yield f"{namespace}: {covered} of {len(counts)} documented objects have claims"
        for name, count in counts.items():
            if not count:
                yield f"    {name:40} none"
            elif not missing:
                yield f"    {name:40} {count}"


def drafts(path: Path, today: date) -> Iterator[str]:
    """An entry for each way in which each claim failed in the run that ``path`` reports; to be read and completed.

    Raises:
        CommandError: ``path`` is no report of a run.
    """
    report = _report(path)
    release = re.match(r"\d+\.\d+", report["torch"])
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for one in report["claims"]:
        for cell in one["cells"]:
            if cell["outcome"] == record.FAILED and not cell["deviation"]:
                how = one["id"], cell["raised"] or "AssertionError", _first_line(cell["reason"])
                found.setdefault(how, []).append(cell)
    for (name, raised, message), cells in found.items():
        functions = sorted({cell["test"].partition("::")[2].partition("[")[0] for cell in cells})
        entry: dict[str, Any] = {"claim": name, "tests": [f"{function}*" for function in functions]}
        names = [cell["cell"].split("-") for cell in cells if cell["cell"] != "host"]
        if names:
            entry |= {"device": sorted({name[0] for name in names}), "dtype": sorted({name[1] for name in names})}
        entry |= {
            "torch": f">={release.group()}" if release else "",
            "raises": raised,
            "message": re.escape(message).replace("\\ ", " "),
            "reason": "to be written: why it does this",
            "link": "to be written: where it is reported, or unreported",
        }
        yield "[[deviation]]"
        yield from (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items())
        yield f"review = {(today + REVIEW_AFTER).isoformat()}"
        yield ""
    yield f"# {len(found)} entries drafted from {path.name}"


def comparison(paths: Sequence[Path]) -> Iterator[str]:
    """A table of the claims whose state is not the same in all runs; a column a run, headed by its torch.

    Raises:
        CommandError: a file is no report of a run.
    """
    reports = [_report(path) for path in paths]
    states = [{one["id"]: one["state"] for one in report["claims"]} for report in reports]
    names = dict.fromkeys(name for column in states for name in column)
    rows = [[name, *(column.get(name, "not selected") for column in states)] for name in names]
    changed = [row for row in rows if len(set(row[1:])) > 1]
    heads = ["", *(f"torch {report['torch']}" for report in reports)]
    widths = [max(map(len, column)) for column in zip(heads, *changed, strict=True)]
    for row in [heads, *changed]:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
    yield f"{len(changed)} of {len(rows)} claims differ"


def drawn(what: str, run: Path, output: Path) -> Iterator[str]:
    """Writes the ``page`` or the ``roofline`` of the run that ``run`` reports to ``output``.

    Raises:
        ReportError: ``run`` is no report of benchmarks, or ``output`` cannot be written.
    """
    from torchclaims.report import page, timings

    page.check_installed(what)
    check_writable(what, output)
    write = {"page": page.write_page, "roofline": page.write_roofline}[what]
    write(what, timings.load(run), output)
    yield f"{what} written to {output}"


def _report(path: Path) -> dict[str, Any]:
    """What ``--claims-json`` wrote to ``path``.

    Raises:
        CommandError: it wrote something else, or nothing.
    """
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if report["schema"] != SCHEMA:
            raise KeyError
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CommandError(f"cannot read {path}: {error}; name a file that --claims-json wrote") from None
    except (KeyError, TypeError):
        raise CommandError(f"{path} is not what --claims-json of this release writes") from None
    return report


def _first_line(reason: str) -> str:
    """The message's first line, without the exception's name that pytest puts before it."""
    line = reason.splitlines()[0] if reason else ""
    return re.sub(r"^[\w.]*(Error|Exception|Warning): ", "", line)


if __name__ == "__main__":
    sys.exit(main())
