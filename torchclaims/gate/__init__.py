"""The gate: whether one build is slower than another, with a stated chance of being wrong.

The unit that is sampled is the process: two processes of one build differ for their whole life, so each comparison is
of a fresh pair. A shared machine is faster now than in a second, so the two of a pair live at the same time and take
turns of some milliseconds.
"""

from __future__ import annotations

BASELINE, CANDIDATE = SIDES = ("baseline", "candidate")


class GateError(Exception):
    """Something about the call, an interpreter or a file; the message is one line."""


def one_line(error: BaseException) -> str:
    """What an error says, or what it is, on one line of bounded length."""
    return " ".join(str(error).split())[-300:] or type(error).__name__
