"""A run's faces: the terminal's table, Markdown, annotations of GitHub Actions, JSON."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from torchclaims import __version__
from torchclaims.gate import CANDIDATE, SIDES, stored
from torchclaims.gate.campaign import Campaign
from torchclaims.gate.run import OPEN_STATES, SLOWER_STATES, Run
from torchclaims.report import files
from torchclaims.report.quantities import si

HEADS = ("row", "verdict", "ratio", "baseline", "candidate", "of", "pairs", "could see")
SAY_EVERY = 20.0  # seconds, where progress cannot be written over itself
MEANINGS = {
    0: "not slower",
    1: "slower, or failing, or wrong: see the rows above",
    2: "interrupted: what was finished is above",
    3: "undecided: that is not green; --gate-budget gives it longer, --gate-undecided=ok accepts it",
}


@dataclass(frozen=True)
class Line:
    """One row of the table: its verdict, and the interval of the ratio candidate / baseline of a ``kind`` of time.

    ``seconds`` a call are medians of each side's processes; ``detectable`` is the smallest ratio that as many pairs
    would find.
    """

    row: str
    state: str
    kind: str = ""
    estimate: float = math.nan
    low: float = 0.0
    high: float = math.inf
    pairs: int = 0
    detectable: float = math.inf
    seconds: dict[str, float] | None = None
    reason: str = ""

    def cells(self) -> tuple[str, ...]:
        """The texts under :data:`HEADS`."""
        ratio = f"{self.estimate:.3f}" if self.pairs else ""
        if self.low > 0 or math.isfinite(self.high):
            ratio += f" ({self.low:.3f} to {self.high:.3f})"
        times = [si(self.seconds[side], "s") if self.seconds else "" for side in SIDES]
        seen = f"{100 * (self.detectable - 1):+.1f} %" if math.isfinite(self.detectable) else "nothing yet"
        seen = seen if self.state == "undecided" else ""
        return (self.row, self.state, ratio, *times, self.kind, str(self.pairs or ""), seen)


def table(run: Run) -> list[Line]:
    """A line for each row, in the rows' order."""
    campaign = run.campaign
    if campaign is None:
        return []
    verdicts = campaign.verdicts()
    lines = []
    for row in campaign.rows:
        if row in campaign.fates:
            fate = campaign.fates[row]
            lines.append(Line(row, fate.state, reason=fate.reason))
        else:
            one = verdicts[row]
            seconds = campaign.medians(row, one.kind) if one.pairs else None
            interval = (one.estimate, one.low, one.high, one.pairs, one.detectable)
            lines.append(Line(row, one.state, one.kind, *interval, seconds))
    return lines


def header(run: Run) -> Iterator[str]:
    """What is compared, on what, and how it will be decided."""
    for side in SIDES:
        build = run.builds[side]
        yield f"{side}: torch {build['torch']} ({build['git'][:9]}), Python {build['python']}, {build['executable']}"
    build = run.builds[CANDIDATE]
    yield (
        f"on {build['device']}: {build['device_description']}, {build['cpu']}, {build['threads']} threads"
        f" (OMP_WAIT_POLICY={build['waiting']});"
        f" order of the pairs by seed {run.request.seed}"
    )
    yield (
        f"threshold {100 * run.request.threshold:.3g} %, chance of a false alarm in the table at most"
        f" {100 * run.request.alpha:.3g} %, budget {run.request.budget:.0f} s"
    )
    if run.earlier is not None:
        yield (
            f"WARNING: the baseline was timed on {run.earlier.started[:10]}; another day's machine was not this one:"
            " whatever differs between the days counts as the build's"
        )
    yield from (f"the machine is unfit: {line}" for line in build["condition"])


def summary(run: Run) -> Iterator[str]:
    """The table, what was noticed, and the last line."""
    campaign = run.campaign
    if campaign is None:
        yield "no pair was finished"
        return
    yield from _aligned([HEADS, *(line.cells() for line in table(run))])
    for line in table(run):
        if line.reason:
            yield f"{line.state}: {line.row}: {line.reason}"
    for finding in campaign.findings:
        yield f"{'WRONG' if finding.is_red else 'note'}: {finding.row}: {finding.text}"
    for void in campaign.voids:
        where = f" at {void.row}" if void.row else ""
        yield f"void: pair {void.pair}: the {void.side}{where} {void.reason}"
    counts = Counter(line.state for line in table(run))
    yield (
        f"{len(campaign.pairs)} pairs in {campaign.seconds:.0f} s, {campaign.ended or 'interrupted'};"
        f" {len(campaign.rows)} rows: " + ", ".join(f"{count} {state}" for state, count in counts.items())
    )
    yield f"exit {run.exit_code()}: {MEANINGS[run.exit_code()]}"


def ending(run: Run, unwritten: Sequence[str]) -> Iterator[str]:
    """The summary, what could and could not be written, and on GitHub its annotations."""
    yield from summary(run)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        yield from workflow_commands(run)
    if unwritten:
        yield from (f"ERROR: {line}" for line in unwritten)
    elif run.request.reports:
        yield f"written: {', '.join(map(str, run.request.reports.values()))}"


@dataclass
class Progress:
    """Says how far a campaign is: over its last words, where ``rewrite`` can, else a line now and then."""

    write: Callable[[str], object]
    rewrite: Callable[[str], object] | None = None
    said: float = field(default_factory=time.monotonic)

    def __call__(self, campaign: Campaign) -> None:
        if self.rewrite:
            self.rewrite(progress(campaign))
        elif time.monotonic() - self.said > SAY_EVERY:
            self.said = time.monotonic()
            self.write(progress(campaign))


def progress(campaign: Campaign) -> str:
    """One line while the run goes on."""
    left = max(0.0, campaign.budget - campaign.seconds)
    return (
        f"pair {len(campaign.pairs)}: {len(campaign.open_rows())} of {len(campaign.rows)} rows open,"
        f" {campaign.seconds:.0f} s spent, {left:.0f} s left"
    )


def markdown(run: Run) -> str:
    """The table for a step's summary or a pull request's comment; green rows are folded away."""
    lines = table(run)
    loud = [line for line in lines if line.state in SLOWER_STATES | OPEN_STATES | {"faster", "new"}]
    quiet = [line for line in lines if line not in loud]
    builds = [f"torch {run.builds[side]['torch']}" for side in SIDES]
    parts = [f"### Is {builds[1]} slower than {builds[0]}? {MEANINGS[run.exit_code()].partition(':')[0]}", ""]
    if loud:
        parts += [*_markdown_table(loud), ""]
    if quiet:
        parts += [
            f"<details><summary>{len(quiet)} rows not slower</summary>",
            "",
            *_markdown_table(quiet),
            "",
            "</details>",
            "",
        ]
    notes = [line for line in summary(run) if line.startswith(("WRONG", "note", "void", "failed", "new", "not comp"))]
    parts += [*(f"- {_escaped(note)}" for note in notes), ""] if notes else []
    parts += [_escaped(line) + "  " for line in header(run)]
    return "\n".join(parts) + "\n"


def workflow_commands(run: Run) -> Iterator[str]:
    """Workflow commands of GitHub Actions: an error for what is red, a warning for what is undecided."""
    for line in table(run):
        if line.state in SLOWER_STATES:
            yield f"::error title=slower::{_command(' '.join(filter(None, (*line.cells(), line.reason))))}"
        elif line.state in OPEN_STATES:
            yield f"::warning title=undecided::{_command(' '.join(filter(None, (*line.cells(), line.reason))))}"
    for finding in run.campaign.findings if run.campaign else ():
        yield f"::{'error' if finding.is_red else 'notice'} title=results::{_command(f'{finding.row}: {finding.text}')}"


def document(run: Run) -> dict[str, Any]:
    """The run as plain values, of the form that ``gate.schema.json`` describes."""
    request, campaign = run.request, run.campaign
    return {
        "schema": stored.SCHEMA,
        "torchclaims": __version__,
        "started": datetime.fromtimestamp(run.started, timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(campaign.seconds, 3) if campaign else 0.0,
        "seed": request.seed,
        "settings": run.settings(),
        "rule": {"threshold": request.threshold, "alpha": request.alpha, "budget": request.budget},
        "builds": run.builds,
        "exit": run.exit_code(),
        "rows": [asdict(line) for line in table(run)],
        "findings": [asdict(one) for one in campaign.findings] if campaign else [],
        "voids": [asdict(one) for one in campaign.voids] if campaign else [],
        "pairs": [stored.to_json(pair) for pair in campaign.pairs] if campaign else [],
    }


def write(run: Run) -> list[str]:
    """Writes what was asked for, and GitHub's step summary where there is one; returns what could not be written."""
    texts = {
        "--gate-json": lambda: stored.dump(document(run)),
        "--gate-markdown": lambda: markdown(run),
    }
    if run.campaign is None:
        return []
    failed = []
    for option, path in run.request.reports.items():
        try:
            if option in texts:
                files.write(option, path, texts[option]())
            else:
                files.append(option, path, stored.dump(entry(run), indent=None))
        except files.ReportError as error:
            failed.append(str(error))
    step_summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if step_summary:
        try:
            files.append("GITHUB_STEP_SUMMARY", Path(step_summary), markdown(run))
        except files.ReportError as error:
            failed.append(str(error))
    return failed


def entry(run: Run) -> dict[str, Any]:
    """One line of the history: when, which builds, and each row's seconds and interval."""
    full = document(run)
    kept = {key: full[key] for key in ("schema", "started", "exit")}
    builds = {side: {key: run.builds[side][key] for key in ("torch", "git", "cpu", "device")} for side in SIDES}
    rows = {line["row"]: {key: line[key] for key in ("state", "low", "high", "seconds")} for line in full["rows"]}
    return kept | {"builds": builds, "rows": rows}


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _markdown_table(lines: list[Line]) -> list[str]:
    rows = [HEADS, ("---",) * len(HEADS), *(line.cells() for line in lines)]
    return ["| " + " | ".join(map(_escaped, row)) + " |" for row in rows]


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _command(text: str) -> str:
    """A workflow command's message; GitHub documents these three escapes."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
