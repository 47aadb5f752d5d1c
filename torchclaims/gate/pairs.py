"""Fresh processes, a pair at a time, in turns.

Both processes of a pair live at the same time and take turns of some milliseconds at each row, so that a machine that
is faster now than in a second is so for both: of the ratios of neighbouring turns the median is the pair's figure.
A GPU in exclusive-process mode has no room for a pair.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

import execnet

from torchclaims.gate import SIDES
from torchclaims.gate.child import VISITS
from torchclaims.gate.decision import log_ratio
from torchclaims.gate.life import Job, Life
from torchclaims.gate.process import Process

GROUP = 8  # rows whose networks are in memory together
PATIENCE = 5.0  # seconds that processes are given to end by themselves

Checks = Mapping[str, Collection[str]]  # side -> the rows whose results are checked
NO_CHECKS: Checks = MappingProxyType(dict.fromkeys(SIDES, ()))


@dataclass(frozen=True)
class Pair:
    """Two fresh processes, and the seconds that they took; ``first`` is who began, None if they took no turns."""

    first: str | None
    lives: Mapping[str, Life]
    seconds: float

    def rows(self) -> list[str]:
        """The rows that both have timed; none of a pair of which one ended badly, which leaves neither to count."""
        baseline, candidate = (self.lives[side] for side in SIDES)
        return [] if baseline.void or candidate.void else [row for row in baseline.visits if row in candidate.visits]

    def log_ratios(self, row: str) -> dict[str, list[float]]:
        """For each kind of time log(candidate / baseline), turn by turn, or a single one of those who took none."""
        baseline, candidate = (self.lives[side] for side in SIDES)
        kinds = [kind for kind in baseline.visits[row] if kind in candidate.visits[row]]
        if self.first is None:
            return {kind: [log_ratio(candidate.median(row, kind), baseline.median(row, kind))] for kind in kinds}
        turns = {kind: zip(candidate.visits[row][kind], baseline.visits[row][kind], strict=False) for kind in kinds}
        return {kind: [log_ratio(*both) for both in pairs] for kind, pairs in turns.items()}


class Processes:
    """Starts processes and sees them end; a context that leaves none behind."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.group = execnet.Group()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.group.terminate(timeout=1.0)

    def pair(self, pythons: Mapping[str, str], rows: Sequence[str], checks: Checks, rng: random.Random) -> Pair:
        """A fresh process of each side; chance says who begins, and in which order both time the ``rows``."""
        order = rng.sample(SIDES, 2)
        # Where results are checked the rows stay in the table's order, in which they share what they are compared with.
        rows = list(rows) if any(checks.values()) else rng.sample(rows, len(rows))
        lives, seconds = self.live({side: pythons[side] for side in order}, rows, checks)
        return Pair(order[0], lives, seconds)

    def live(
        self, pythons: Mapping[str, str], rows: Sequence[str] = (), checks: Checks = NO_CHECKS, *, lists: bool = False
    ) -> tuple[dict[str, Life], float]:
        """Lives of fresh processes, one of each side, and the seconds they took together.

        They start at the same time, and then time the ``rows`` in turns; of those in ``checks`` the results are checked
        before. With ``lists`` they name the rows that there are.
        """
        started = time.perf_counter()
        processes: dict[str, Process] = {}
        try:
            for side, python in pythons.items():
                processes[side] = Process(self.group, python, asdict(self.job) | {"lists": lists})
            for process in processes.values():
                process.wait()
            for start in range(0, len(rows), GROUP):
                _time(processes, rows[start : start + GROUP], checks)
        finally:
            for process in processes.values():
                process.close()
            self.group.terminate(timeout=PATIENCE)
        return {side: process.life for side, process in processes.items()}, time.perf_counter() - started


def _time(processes: Mapping[str, Process], rows: Sequence[str], checks: Checks) -> None:
    """Has every process prepare the rows and then time them, in turns and in turns at being first."""
    for row in rows:
        for side, process in processes.items():
            process.ask("check" if row in checks[side] else "prepare", row)
    order = list(processes.values())
    for number in range(VISITS):
        for row in rows:
            turns = [
                process.life.turns[row] for process in order if row in process.life.turns and not process.life.void
            ]
            # Who is alone with a row has only to show that it works.
            if turns and number < (min(turns) if len(turns) == len(order) else 1):
                for process in order[:: -1 if number % 2 else 1]:
                    if row in process.life.turns:
                        process.ask("visit", row)
    for process in order:
        process.ask("clear")
