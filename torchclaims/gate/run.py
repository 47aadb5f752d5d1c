"""One run of the gate: two builds, or one and what was stored of another, from their interpreters to the exit code."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from torchclaims.gate import BASELINE, CANDIDATE, GateError, sources, stored
from torchclaims.gate.campaign import FAILED, INCOMPARABLE, TRIES, Campaign
from torchclaims.gate.decision import Rule
from torchclaims.gate.life import COMPILING, SILENCE, Job
from torchclaims.gate.options import Request
from torchclaims.gate.pairs import Pair, Processes

NOT_SLOWER, SLOWER, INTERRUPTED, UNDECIDED = 0, 1, 2, 3  # exit codes; 4 is a call or a file that is wrong

# What must be the same on both sides, or their difference is not the builds'.
MACHINE = ("cpu", "device", "device_description", "threads", "waiting")


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM, by which CI systems cancel a run, and SIGINT, even where a shell had it ignored, end it like Ctrl-C."""
    before = {one: signal.signal(one, signal.default_int_handler) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@dataclass
class Run:
    """``home`` is the folder of the benchmarks; None where a user's own subject is timed."""

    request: Request
    home: Path | None
    processes: Processes = field(init=False)
    builds: dict[str, dict[str, Any]] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    campaign: Campaign | None = None
    interrupted: bool = False
    started: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.random = random.Random(self.request.seed)
        self.earlier = stored.load(self.request.stored) if self.request.stored else None

    @contextmanager
    def machine(self) -> Iterator[None]:
        """Starts a process of each build, which says what it is; when the context ends no process is left.

        Raises:
            GateError: a build cannot be run, or the stored run is of another machine.
        """
        request = self.request
        texts = sources.of_subject() if self.home is None else sources.of_rows(self.home)
        job = Job(
            texts,
            request.device,
            request.mode,
            request.precisions,
            seed=request.seed,
            silence=SILENCE if request.mode == "eager" else COMPILING,
            subject=request.subject is not None,
        )
        with Processes(job) as self.processes:
            self._describe(CANDIDATE, request.candidate)
            build = self.builds[CANDIDATE]
            self.processes.job = replace(job, device=build["device"], threads=build["threads"])
            if self.earlier is None:
                assert request.baseline is not None
                self._describe(BASELINE, request.baseline)
            else:
                self.builds[BASELINE] = self.earlier.build
                now, then = ({key: one[key] for key in MACHINE} for one in (build, self.earlier.build))
                self._demand_the_same(now | self.settings(), then | self.earlier.settings)
            yield

    def _describe(self, side: str, python: str) -> None:
        lists = side == CANDIDATE and self.home is not None
        for _ in range(TRIES):
            lives, seconds = self.processes.live({side: python}, lists=lists)
            life = lives[side]
            if not life.void:
                self.builds[side] = life.build | {"start": seconds}
                self.listed = life.listed or self.listed
                return
        raise GateError(f"the {side}, {python}, cannot be timed: {life.void}")

    def _demand_the_same(self, now: dict[str, Any], then: dict[str, Any]) -> None:
        for key in now:
            if now[key] != then[key]:
                raise GateError(
                    f"--against: {self.request.stored} cannot be compared with this run: {key.replace('_', ' ')} was"
                    f" {then[key]!r}, is {now[key]!r}"
                )

    def compare(self, rows: Sequence[str], progress: Callable[[Campaign], None], *, records: bool = False) -> None:
        """Draws pairs until the rows are decided or the budget ends; what is finished stays when it is interrupted.

        With ``records`` every pair has all rows, until the budget ends.
        """
        request = self.request
        self.campaign = Campaign(rows, self.rule(rows), self._draw, request.budget, records)
        try:
            self.campaign.run(progress)
            if request.subject and self.campaign.is_absent(request.subject):
                raise GateError(f"--subject: neither build has it: {self.campaign.fates[request.subject].reason}")
        except KeyboardInterrupt:
            self.interrupted = True
            raise

    def rule(self, rows: Sequence[str]) -> Rule:
        """How the rows are decided."""
        return Rule(self.request.threshold, self.request.alpha, thresholds=of_rows(rows, self.request.thresholds))

    def _draw(self, rows: Sequence[str], checks: dict[str, Sequence[str]]) -> Pair | None:
        if self.earlier is None:
            assert self.request.baseline is not None
            pythons = {BASELINE: self.request.baseline, CANDIDATE: self.request.candidate}
            return self.processes.pair(pythons, rows, checks, self.random)
        baseline = self.earlier.next()
        if baseline is None:
            return None
        lives, seconds = self.processes.live({CANDIDATE: self.request.candidate}, rows, checks)
        return Pair(None, {BASELINE: baseline, **lives}, seconds)

    def settings(self) -> dict[str, Any]:
        """What was asked of both sides alike, as plain values; runs with other settings cannot be compared."""
        request = self.request
        precisions = list(request.precisions) if request.precisions else None
        return {"mode": request.mode, "precisions": precisions, "subject": request.subject}

    def exit_code(self) -> int:
        """What the run found, as README says."""
        if self.interrupted or self.campaign is None:
            return INTERRUPTED
        states = self.states()
        if SLOWER_STATES & set(states.values()) or any(one.is_red for one in self.campaign.findings):
            return SLOWER
        if OPEN_STATES & set(states.values()) and not self.request.undecided_ok:
            return UNDECIDED
        return NOT_SLOWER

    def states(self) -> dict[str, str]:
        """Each row's verdict, or why it could not be compared."""
        assert self.campaign is not None
        fates = {row: fate.state for row, fate in self.campaign.fates.items()}
        return {row: verdict.state for row, verdict in self.campaign.verdicts().items()} | fates


SLOWER_STATES = {"slower", FAILED}
OPEN_STATES = {"undecided", INCOMPARABLE}


def of_rows(rows: Sequence[str], thresholds: Mapping[str, float]) -> dict[str, float]:
    """The thresholds of the rows that a pattern matches; of several patterns the last one counts."""
    return {row: value for pattern, value in thresholds.items() for row in rows if fnmatchcase(row, pattern)}
