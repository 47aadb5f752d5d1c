"""One fresh process: started, asked, ended; and how it ended, where that was not by itself.

Everything that it says comes through execnet's own serialisation of plain values; nothing is unpickled.
"""

from __future__ import annotations

import os
import shlex
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import execnet

from torchclaims.gate import child, one_line
from torchclaims.gate.life import Life

HANGS = "hangs"
DUMP = "(most recent call first):"  # how faulthandler heads a thread's traceback


class Process:
    """A process of the interpreter ``python``, and in ``life`` what it has said; once that is void it is asked no more.

    It starts at once; ``wait`` waits until it is ready. What it prints goes to a temporary file.
    """

    def __init__(self, group: execnet.Group, python: str, job: dict[str, Any]) -> None:
        self.life = Life()
        self.silence: float = job["silence"]
        self.pid: int | None = None
        self.channel: Any = None
        self.log: Any = None
        with self._voiding():
            self.log = tempfile.NamedTemporaryFile(prefix="torchclaims-", suffix=".log")  # noqa: SIM115, close() closes
            self.channel = group.makegateway(f"popen//python={shlex.quote(python)}").remote_exec(child)
            self.channel.send(job | {"log": self.log.name})

    def wait(self) -> None:
        """Returns when the process has imported torch and can be asked."""
        if self.life.void is None:
            with self._voiding():
                self.pid = _pid(self.channel.receive(self.silence))  # from now on it ends itself when it hangs
                self._listen()

    def ask(self, what: str, row: str | None = None) -> None:
        """Has the process do something, about a row; returns when that is done, or the process void."""
        if self.life.void is None:
            self.life.row = row
            with self._voiding():
                self.channel.send((what, row))
                self._listen()
                self.life.row = self.life.row if self.life.void else None

    def close(self) -> None:
        """Lets the process end; one that is busy is killed."""
        if self.life.void is None and self.life.row is None and self.channel:
            self.channel.close()
        elif self.pid is not None:
            _kill(self.pid)
        if self.log:
            self.log.close()

    def _listen(self) -> None:
        while self.life.void is None and (message := self.channel.receive(1.5 * self.silence)) != ("done",):
            self.life.take(message)

    @contextmanager
    def _voiding(self) -> Iterator[None]:
        """What goes wrong within makes the life void, and says why."""
        try:
            yield
        except execnet.TimeoutError:
            end = HANGS
        except (EOFError, OSError) as error:
            end = _end_of(self.pid) if self.pid else f"did not start: {one_line(error)}"
        except AssertionError:  # execnet's, for anything but its own first byte
            end = "prints something as it starts"
        except execnet.RemoteError as error:
            end = one_line(error)
        except (ValueError, execnet.DataFormatError) as error:
            end = f"sent what is no message: {one_line(error)}"
        else:
            return
        self.life.void = _explained(end, Path(self.log.name)) if self.log else end


def _pid(message: Any) -> int:
    match message:
        case ["pid", int(pid)]:
            return pid
    raise ValueError(repr(message)[:80])


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
