"""Rows that need no torch, and a torch that is none: what a process of the gate is sent in its selftests."""

from __future__ import annotations

from typing import Any

from torchclaims.gate import sources
from torchclaims.gate.life import Job

TORCH = """
__version__ = "0.0+toy"
class version:
    git_version, cuda = "0123456789", None
class cuda:
    is_available = staticmethod(lambda: False)
class device:
    def __init__(self, name): self.type = str(name)
threads = 2
def set_num_threads(count):
    global threads
    threads = count
def get_num_threads(): return threads
"""

MACHINE = "def condition(device): return ['a neighbour plays the drums']"

ROWS = """
import ctypes, os, random, signal, sys, time

PRECISIONS = ("float32",)
SIDE = os.path.basename(sys.executable)
HERE = SIDE == "candidate"

def work(count=1000): sum(range(count))
def scribble(fd):
    try: os.write(fd, b"garbage" * 9)
    except OSError: pass
def fail(text): raise RuntimeError(text)

DOES = {  # what a row named so does when it is called
    "steady": work,
    "other": work,
    "slower": lambda: work(2000 if HERE else 1000),
    "faster": lambda: work(1000 if HERE else 2000),
    "noisy": lambda: work(random.randrange(500, 100_000)),
    "exits": lambda: os._exit(7),
    "dies here": lambda: os._exit(9) if HERE else work(),
    "died there": lambda: work() if HERE else os._exit(9),
    "segfaults": lambda: ctypes.string_at(0),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "aborts": lambda: os.abort(),
    "hangs": lambda: time.sleep(600),
    "stops": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "out of memory": lambda: bytearray(2**60),
    "raises": lambda: fail("not on a Tuesday"),
    "prints": lambda: (os.write(1, b"garbage"), os.write(2, b"more"), print("of it", flush=True)),
    "scribbles": lambda: [scribble(fd) for fd in range(3, 12)],
    "fails here": lambda: fail("CUDA error") if HERE else work(),
    "failed there": lambda: work() if HERE else fail("not implemented for 'BFloat16'"),
    "differs": work,
    "wrong": work,
    "was wrong": work,
    "new": work,
    "gone": work,
}

class Row:
    def __init__(self, name): self.name = name
    def __str__(self): return self.name
    def subject(self, device, mode): return Subject(self.name)

class Subject:
    setup = None
    def __init__(self, name):
        if name == ("gone" if HERE else "new"):
            raise AttributeError("module 'torch.nn' has no attribute 'New'")
        self.name, self.call = name, DOES[name]
    def check(self):
        wrong = self.name == ("wrong" if HERE else "was wrong")
        return "output is off by 0.5, allowed 1e-06" if wrong else None
    def digest(self): return [1.0, 2.5 if self.name == "differs" and HERE else 2.0]
    def allowance(self): return 1e-6

def rows(device, precisions): return tuple(map(Row, DOES))
"""


def toy_sources() -> dict[str, str]:
    """Module names and texts: the real clocks, the toy's everything else."""
    kept = {name: text for name, text in sources.of_subject().items() if not name.endswith(("machine", "subject"))}
    toys = {"benchmarks": "", "benchmarks.rows": ROWS, "torch": TORCH, "torchclaims.measure.machine": MACHINE}
    return kept | toys


def toy_job(**changes: Any) -> Job:
    """A job that takes a fraction of a second."""
    return Job(**({"sources": toy_sources(), "device": "cpu", "threads": 1, "seconds": 0.01, "silence": 5.0} | changes))
