"""Fresh processes, a pair at a time: what each found out, or why it is void.

Everything that a process says comes through execnet's own serialisation of plain values; nothing is unpickled.
"""

from __future__ import annotations

import math
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import execnet

from torchclaims.gate import SIDES, GateError, child

OLDEST_PYTHON = (3, 9)
SILENCE = 60.0  # seconds without a word after which a process hangs
COMPILING = 600.0  # likewise, where networks are compiled
HANGS = "hangs"
DUMP = "(most recent call first):"  # how faulthandler heads a thread's traceback
PATIENCE = 5.0  # seconds that a process is given to end by itself

Figures = dict[str, float]  # kind of time -> seconds a call


@dataclass(frozen=True)
class Job:
    """What is asked of every process: the sources it needs, where it computes, how long it times each row (seconds)."""

    sources: dict[str, str]
    device: str = ""  # cuda where there is one, else cpu
    mode: str = "eager"
    precisions: tuple[str, ...] | None = None  # of the rows that are listed; None: those that the device has
    threads: int = 0  # as torch chooses
    seconds: float = 0.15
    seed: int = 0
    subject: bool = False
    silence: float = SILENCE


@dataclass(frozen=True)
class Result:
    """What a row computed: what is ``wrong`` with it, or None; numbers to compare, and by how much each may be off."""

    wrong: str | None
    digest: list[float]
    allowed: float


@dataclass
class Life:
    """What one process said. ``void`` is why none of it counts; ``row`` is what it was doing then."""

    side: str
    seconds: float = 0.0
    build: dict[str, Any] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    figures: dict[str, Figures] = field(default_factory=dict)
    scatter: dict[str, dict[str, float]] = field(default_factory=dict)  # relative standard errors within the process
    results: dict[str, Result] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    void: str | None = None
    row: str | None = None
    ended: bool = False

    def take(self, message: Any) -> None:
        """Notes one message.

        Raises:
            ValueError: it is none that a process of ours sends.
        """
        match message:
            case ["build", dict(build)]:
                self.build = build
            case ["rows", [*rows]] if all(isinstance(row, str) for row in rows):
                self.listed = rows
            case ["begin", str(row)]:
                self.row = row
            case ["result", str(row), str() | None as wrong, [*digest], float(allowed)] if _are_floats(digest):
                self.results[row] = Result(wrong, digest, allowed)
            case ["row", str(row), dict(figures), dict(scatter)] if (
                figures and all(map(_is_time, figures.values())) and _are_floats(scatter.values())
            ):
                self.figures[row], self.scatter[row] = figures, scatter
            case ["absent", str(row), str(reason)]:
                self.absent[row] = reason
            case ["error", str(row), str(reason)]:
                self.errors[row] = reason
            case ["unfit", str(reason)]:
                self.void, self.ended = reason, True
            case ["end"]:
                self.row, self.ended = None, True
            case _:
                raise ValueError(repr(message)[:80])


@dataclass(frozen=True)
class Pair:
    """Two fresh processes, one after the other; ``first`` is the side that ran first."""

    first: str
    lives: dict[str, Life]

    @property
    def is_void(self) -> bool:
        """Whether one of them ended badly, which leaves neither to count."""
        return any(life.void for life in self.lives.values())

    def rows(self) -> list[str]:
        """The rows that both have figures of; none of a void pair."""
        baseline, candidate = (self.lives[side].figures for side in SIDES)
        return [] if self.is_void else [row for row in baseline if row in candidate]


class Processes:
    """Starts processes and sees them end; a context that leaves none behind."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.group = execnet.Group()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.group.terminate(timeout=1.0)

    def pair(
        self, pythons: dict[str, str], rows: Sequence[str], checks: dict[str, Sequence[str]], rng: random.Random
    ) -> Pair:
        """A fresh process of each side, in random order, both with ``rows`` in the same order, which is random."""
        order = rng.sample(SIDES, 2)
        # Where results are checked the rows stay in the table's order, in which they share what they are compared with.
        rows = list(rows) if any(checks.values()) else rng.sample(rows, len(rows))
        lives = {side: self.live(side, pythons[side], rows, checks[side]) for side in order}
        return Pair(order[0], lives)

    def live(
        self, side: str, python: str, rows: Sequence[str], check: Sequence[str] = (), *, lists: bool = False
    ) -> Life:
        """One fresh process of ``python`` that times ``rows``, and before that checks the results of ``check``.

        With ``lists`` it names the rows that there are.
        """
        life = Life(side)
        started = time.perf_counter()
        try:
            with tempfile.NamedTemporaryFile(prefix="torchclaims-", suffix=".log") as log:
                task = {"rows": list(rows), "check": list(check), "lists": lists, "log": log.name}
                self._live(life, python, asdict(self.job) | task)
                if life.void:
                    life.void = _explained(life.void, Path(log.name))
        except OSError as error:  # no room for the log
            life.void = f"did not start: {_line(error)}"
        life.seconds = time.perf_counter() - started
        return life

    def _live(self, life: Life, python: str, job: dict[str, Any]) -> None:
        pid = None
        try:
            channel = self.group.makegateway(f"popen//python={shlex.quote(python)}").remote_exec(child)
            channel.send(job)
            pid = _pid(channel.receive(self.job.silence))  # from now on it ends itself when it hangs
            while not life.ended:
                life.take(channel.receive(1.5 * self.job.silence))
        except execnet.TimeoutError:
            life.void = HANGS
        except (EOFError, OSError) as error:
            life.void = _end_of(pid) if pid else f"did not start: {_line(error)}"
        except AssertionError:  # execnet's, for anything but its own first byte
            life.void = "prints something as it starts"
        except execnet.RemoteError as error:
            life.void = _line(error)
        except (ValueError, execnet.DataFormatError) as error:
            life.void = f"sent what is no message: {_line(error)}"
        finally:
            if pid is not None and not life.ended:
                _kill(pid)
            self.group.terminate(timeout=PATIENCE)


def interpreter(option: str, name: str) -> str:
    """The absolute path of the Python interpreter ``name``, which must answer; symbolic links stay, as venvs need.

    Raises:
        GateError: there is none, it is no Python, or one that is too old.
    """
    found = shutil.which(name)
    if found is None:
        hint = (
            f"name its interpreter, as in {Path(name) / 'bin' / 'python'}" if Path(name).is_dir() else "check the path"
        )
        raise GateError(f"{option}: cannot run {name}: it is no program; {hint}")
    path = os.path.abspath(found)
    command = [path, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired) as error:
        raise GateError(f"{option}: {path} does not answer as a Python interpreter: {_line(error)}") from None
    version = re.fullmatch(r"(\d+) (\d+)\n", answer.stdout)
    if answer.returncode or not version:
        said = (answer.stderr if answer.returncode else answer.stdout).strip()
        raise GateError(
            f"{option}: {path} does not answer as a Python interpreter: exit code {answer.returncode},"
            f" it prints {said[-100:]!r}"
        )
    if tuple(map(int, version.groups())) < OLDEST_PYTHON:
        raise GateError(f"{option}: {path} is Python {answer.stdout.strip().replace(' ', '.')}; 3.9 or later is needed")
    return path


def _pid(message: Any) -> int:
    match message:
        case ["pid", int(pid)]:
            return pid
    raise ValueError(repr(message)[:80])


def _is_time(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < math.inf


def _are_floats(values: Iterable[Any]) -> bool:
    return all(isinstance(value, float) for value in values)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _end_of(pid: int) -> str:
    """How a process that fell silent ended; execnet reaps it afterwards."""
    for _ in range(100):
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if end is not None:
            break
        time.sleep(0.01)
    else:
        return "closed its channel"
    if end.si_code == os.CLD_EXITED:
        return f"ended with exit code {end.si_status}"
    memory = ", as happens when memory runs out" if end.si_status == signal.SIGKILL else ""
    return f"was killed by {signal.Signals(end.si_status).name}{memory}"


def _explained(end: str, log: Path) -> str:
    """How a process ended, with what it printed at last; of dumped tracebacks, the main thread's innermost frame."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    if any(line.startswith("Timeout (") for line in lines):  # faulthandler ended it
        end = HANGS
    dumps = {line: following for line, following in pairwise(lines) if line.endswith(DUMP)}
    frames = [frame for line, frame in dumps.items() if line.startswith("Current")] or list(dumps.values())
    if frames:
        return f"{end} in {frames[-1].removeprefix('File ')}"
    return f"{end}; it said {lines[-1][:200]!r}" if lines else end


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[-300:] or type(error).__name__
