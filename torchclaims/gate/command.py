"""``torchclaims gate`` and ``torchclaims history``: the gate without pytest, as for code of one's own."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchclaims import catalogue
from torchclaims.gate import CANDIDATE, GateError, history, options

if TYPE_CHECKING:
    from torchclaims.gate.run import Run


def add(commands: Any) -> None:
    """Adds the two commands to ``torchclaims``' own."""
    gate = commands.add_parser("gate", help="is this build slower than another, or how finely can this machine tell?")
    for option, words in options.OPTIONS.items():
        gate.add_argument(option, **words)
    gate.add_argument("--calibrate", action="store_true", help="compare this build with itself for the whole budget")
    gate.add_argument("--rows", action="append", metavar="PATTERN", help="only the rows that match, as in 'VGG*'")
    gate.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 (default: cuda where there is one, else cpu)")
    gate.add_argument("--dtype", metavar="LIST", help="float32, bfloat16 (default: those that the device has)")
    gate.add_argument("--mode", metavar="NAME", help="eager (the default), aot_eager, inductor")
    gate.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31), help="of the pairs' order")
    gate.set_defaults(ends_with=judge)
    plot = commands.add_parser("history", help="plot what --gate-history collected")
    plot.add_argument("file", type=Path, metavar="FILE", help="what --gate-history wrote")
    plot.add_argument("--plot", type=Path, required=True, metavar="PICTURE", help="the .png, .svg or .pdf to write")
    plot.add_argument("--rows", action="append", metavar="PATTERN", help="only the rows that match, as in 'VGG*'")
    plot.set_defaults(ends_with=lambda asked: history.plot(asked.file, asked.plot, asked.rows))


def judge(asked: argparse.Namespace) -> int:
    """Compares two builds, or one with itself, and prints what came out; the result is the exit code.

    Raises:
        GateError: something about the call, an interpreter or a file.
    """
    from torchclaims.gate import report  # SciPy, which the other commands need not wait for
    from torchclaims.gate.run import Run, interruptible

    if asked.calibrate:
        return _calibrate(asked)
    if asked.against is None:
        raise GateError("name the other build with --against, or --calibrate this one")
    request = options.request(asked, against=asked.against)
    run = Run(request, None if request.subject else catalogue.home())
    with interruptible():
        _compare(run, asked.rows)
        unwritten = report.write(run)
        _say(*report.ending(run, unwritten))
    return 4 if unwritten else run.exit_code()


def _calibrate(asked: argparse.Namespace) -> int:
    """Records pairs of one build, or takes those that were recorded, and prints what they say of the machine."""
    from torchclaims.gate import accuracy, report, stored
    from torchclaims.gate.run import INTERRUPTED, Run, interruptible

    if asked.against is not None and not asked.against.endswith(".json"):
        raise GateError("--calibrate: compares a build with itself; --against may only name pairs that were recorded")
    request = options.request(asked, against=None)
    run = Run(request, None if request.subject else catalogue.home())
    unwritten: list[str] = []
    with interruptible():
        if asked.against is None:
            _compare(run, asked.rows, records=True)
            pairs = run.campaign.pairs if run.campaign else []
            start = run.builds[CANDIDATE]["start"]
            unwritten = report.write(run)
        else:
            document = stored.read(Path(asked.against))
            pairs, start = stored.pairs(document), document["builds"][CANDIDATE]["start"]
        rule = run.rule(list(dict.fromkeys(row for pair in pairs for row in pair.rows())))
        try:
            for line in accuracy.lines(pairs, rule, request.budget, start, request.seed):
                _say(line)
        except KeyboardInterrupt:
            run.interrupted = True
    _say(*(f"ERROR: {line}" for line in unwritten))
    return 4 if unwritten else INTERRUPTED if run.interrupted else 0


def _compare(run: Run, patterns: Sequence[str] | None, *, records: bool = False) -> None:
    from torchclaims.gate import report

    try:
        with run.machine():
            _say(*report.header(run))
            subject = run.request.subject
            rows = [subject] if subject else options.selected(run.listed, patterns)
            run.compare(rows, report.Progress(_say, _say_over if sys.stdout.isatty() else None), records=records)
    except KeyboardInterrupt:
        run.interrupted = True
    finally:
        if sys.stdout.isatty():
            _say_over("")


def _say_over(line: str) -> None:
    print(f"\r\x1b[K{line}", end="", flush=True)


def _say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)
