"""Rows that need no torch, and a torch that is none: what a process of the gate is sent in its selftests."""

from __future__ import annotations

TORCH = """
__version__ = "0.0+toy"
class version:
    git_version, cuda = "toy", None
class device:
    def __init__(self, name): self.type = str(name)
threads = 1
def set_num_threads(count):
    global threads
    threads = count
def get_num_threads(): return threads
"""

ROWS = '''
import ctypes, os, signal, sys, time

PRECISIONS = ("float32",)
SIDE = os.path.basename(sys.executable)
DOES = {  # what a row named so does when it is called
    "steady": lambda: sum(range(2000)),
    "slower": lambda: sum(range(2000 if SIDE == "baseline" else 4000)),
    "faster": lambda: sum(range(4000 if SIDE == "baseline" else 2000)),
    "exits": lambda: os._exit(7),
    "segfaults": lambda: ctypes.string_at(0),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hangs": lambda: time.sleep(600),
    "out of memory": lambda: bytearray(2**60),
    "prints": lambda: os.write(1, b"garbage") and print("more of it"),
    "fails here": lambda: 1 / (SIDE == "baseline"),
    "differs": lambda: sum(range(2000)),
    "wrong": lambda: sum(range(2000)),
    "new": lambda: sum(range(2000)),
}

class Row:
    def __init__(self, name): self.name = name
    def __str__(self): return self.name
    def subject(self, device, mode): return Subject(self.name)

class Subject:
    setup = None
    def __init__(self, name):
        if name == "new" and SIDE == "baseline":
            raise AttributeError("module 'torch.nn' has no attribute 'New'")
        self.name, self.call = name, DOES[name]
    def check(self):
        return "output is off by 0.5, allowed 1e-06" if self.name == "wrong" and SIDE == "candidate" else None
    def digest(self): return [1.0, 2.5 if self.name == "differs" and SIDE == "candidate" else 2.0]
    def allowance(self): return 1e-6

def rows(device, precisions): return tuple(map(Row, DOES))
'''
