"""What runs in each process under test, in an interpreter that need not have more than torch.

Its source is sent through execnet, with the sources of whatever it imports. It answers with plain values only.
Python 3.9 must be able to run it.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import os
import platform
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

VISITS = 30  # to each row, in turns with the other process and the other rows: a disturbance meets nobody alone
FEWEST = 3  # visits to a row whose call takes longer than a row's share of time
COLD = 1e-2  # seconds: a call that takes longer warms its caches itself
SAMPLE = 1e-3  # seconds that one sample takes at least, so that the clock's own cost does not count

# What a release raises for something that it does not have yet.
ABSENT = (ImportError, AttributeError, NotImplementedError)


class Sent(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports modules from the sources that were sent, before any that lie on the path."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.sources = sources

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The specification of a module that was sent; None for any other."""
        return importlib.util.spec_from_loader(name, self) if name in self.sources else None

    def is_package(self, name: str) -> bool:
        """Whether modules below ``name`` were sent."""
        return any(other.startswith(name + ".") for other in self.sources)

    def get_source(self, name: str) -> str:
        """The text, which tracebacks and compilers ask for too."""
        return self.sources[name]

    def get_code(self, name: str) -> CodeType:
        """The compiled text, named after its module."""
        file, text = f"<{name}>", self.sources[name]
        linecache.cache[file] = (len(text), None, text.splitlines(True), file)
        return compile(text, file, "exec", dont_inherit=True)


class Child:
    """One process' life: it does what it is asked, a command at a time, and says when that is done."""

    def __init__(self, channel: Any, job: dict[str, Any]) -> None:
        self.channel = channel
        self.job = job
        self.timers: dict[str, Timer] = {}

    def say(self, *message: Any) -> None:
        """Sends ``message``, and from now may stay silent for the time limit once more."""
        faulthandler.dump_traceback_later(self.job["silence"], exit=True)
        self.channel.send(message)

    def live(self) -> None:
        """Imports torch, says what was found, and does what it is asked until nobody asks any more."""
        # OpenMP reads this once, when it is loaded. Threads that wait in a loop burn a time slice at every parallel
        # region as soon as anything else wants their core: calls of 0.1 ms were seen to take 8.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        try:
            torch = importlib.import_module("torch")
        except ImportError as error:
            self.say("unfit", f"cannot import torch: {_line(error)}")
            return
        if self.job["threads"]:
            torch.set_num_threads(self.job["threads"])
        if not self.job["device"]:
            self.job["device"] = "cuda" if torch.cuda.is_available() else "cpu"
        if torch.device(self.job["device"]).type == "cuda" and not torch.cuda.is_available():
            self.say("unfit", "this build finds no CUDA device")
            return
        self.say("build", describe(torch, self.job["device"]))
        if self.job["lists"]:
            self.say("rows", [str(row) for row in self.rows(self.job["precisions"])])
        gc.disable()
        gc.collect()
        gc.freeze()  # what is imported stays: walking it after each group of rows would take longer than they do
        self.done()
        for what, row in self.channel:
            faulthandler.dump_traceback_later(self.job["silence"], exit=True)
            COMMANDS[what](self, row)
            self.done()

    def done(self) -> None:
        """Says so; while others have their turn this process may be silent."""
        self.say("done")
        faulthandler.cancel_dump_traceback_later()

    def check(self, name: str) -> None:
        """Prepares a row, and sends what it computes."""
        self.prepare(name, check=True)

    def prepare(self, name: str, *, check: bool = False) -> None:
        """Makes a row ready to be visited, and says how often it is to be; one that fails says so and is left."""
        try:
            subject = self.subject(name)
        except ABSENT as error:
            self.say("absent", name, _line(error))
            return
        except Exception as error:
            self.say("error", name, _line(error))
            return
        try:
            if check:
                self.say("result", name, subject.check(), _plain(subject.digest()), float(subject.allowance()))
            self.timers[name] = Timer(subject, self.job["device"], self.job["seconds"])
        except Exception as error:
            self.say("error", name, _line(error))
        else:
            self.say("turns", name, self.timers[name].visits)

    def visit(self, name: str) -> None:
        """Times a row for a little while, and sends the medians."""
        try:
            self.say("visit", name, self.timers[name].visit())
        except Exception as error:
            self.say("error", name, _line(error))

    def clear(self, name: None) -> None:
        """Forgets the rows that were prepared."""
        self.timers.clear()
        gc.collect()

    def subject(self, name: str) -> Any:
        """The row ``name`` of the benchmarks, or the user's own subject, ready to be called."""
        if self.job["subject"]:
            return importlib.import_module("torchclaims.gate.subject").Own(name, self.job["seed"])
        named = {str(row): row for row in self.rows(importlib.import_module("benchmarks.rows").PRECISIONS)}
        if name not in named:
            raise NotImplementedError(f"there is no row {name!r}")
        return named[name].subject(self.job["device"], self.job["mode"])

    def rows(self, precisions: Sequence[str] | None) -> Sequence[Any]:
        """The benchmarks' rows for the device; None leaves the precisions to what it has."""
        rows = importlib.import_module("benchmarks.rows")
        result: Sequence[Any] = rows.rows(self.job["device"], precisions and tuple(precisions))
        return result


COMMANDS: dict[str, Callable[[Child, Any], None]] = {
    "check": Child.check,
    "prepare": Child.prepare,
    "visit": Child.visit,
    "clear": Child.clear,
}


class Timer:
    """Times one row, a visit at a time, in seconds a call."""

    def __init__(self, subject: Any, device: str, seconds: float) -> None:
        clocks = importlib.import_module("torchclaims.measure.clocks")
        self.clock = clocks.Clock.of(device)
        self.subject = subject
        self.call()  # the first call allocates and compiles
        took, with_setup = self.once()
        if with_setup < seconds / FEWEST:  # a neighbour may have had the core meanwhile
            took, with_setup = min((took, with_setup), self.once(), self.once())
        self.visits = min(VISITS, max(FEWEST, round(seconds / with_setup)))
        self.loops = 1 if subject.setup else max(1, round(SAMPLE / took))
        self.count = max(1, round(seconds / (self.visits * with_setup * self.loops)))
        self.is_cold = took < COLD

    def call(self, loops: int = 1) -> float:
        """Seconds that ``loops`` calls took, by the host's clock."""
        if self.subject.setup:
            self.subject.setup()
        function = self.subject.call
        start = self.clock()
        for _ in range(loops):
            function()
        return float(self.clock()) - float(start)

    def once(self) -> tuple[float, float]:
        """Seconds that one call took, without its setup and with it."""
        start = time.perf_counter()
        took = self.call()
        return took, time.perf_counter() - start

    def visit(self) -> dict[str, float]:
        """For each kind of time the median of as many samples as one visit has time for."""
        if self.is_cold:
            self.call()
        self.clock.reset()
        for _ in range(self.count):
            self.call(self.loops)
        samples: dict[str, list[float]] = {}
        for interval in self.clock.intervals():
            if interval.device is None:
                seconds = {"cpu": interval.cpu, "wall": interval.wall}
            else:
                seconds = {"device": interval.device, "host": interval.wall}
            for kind, value in seconds.items():
                samples.setdefault(kind, []).append(value / self.loops)
        return {kind: statistics.median(values) for kind, values in samples.items()}


def describe(torch: Any, device: str) -> dict[str, Any]:
    """This build and this machine, as plain values."""
    kind = torch.device(device).type
    return {
        "executable": sys.executable,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "git": str(torch.version.git_version),
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "waiting": os.environ.get("OMP_WAIT_POLICY", "").lower(),
        "cpu": cpu_model(),
        "device": device,
        "device_description": torch.cuda.get_device_name(device) if kind == "cuda" else platform.machine(),
        "condition": importlib.import_module("torchclaims.measure.machine").condition(device),
    }


def cpu_model() -> str:
    """The processor's name as Linux tells it; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named: Iterator[str] = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _plain(digest: Any) -> list[float]:
    return [float(value) for value in digest]


def _line(error: BaseException) -> str:
    return " ".join(traceback.format_exception_only(type(error), error)[-1].split())[:300]


def main(channel: Any) -> None:
    """Receives the job and does it; what anything here prints goes to the job's log."""
    job = channel.receive()
    log = os.open(job["log"], os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.enable(2)
    sys.meta_path.insert(0, Sent(job["sources"]))
    if "" not in sys.path:
        sys.path.insert(0, "")
    child = Child(channel, job)
    child.say("pid", os.getpid())
    child.live()


if __name__ == "__channelexec__":
    main(globals()["channel"])
