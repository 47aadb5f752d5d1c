"""The gate: whether one build is slower than another, with a stated chance of being wrong.

The unit that is sampled is the process: two processes of one build differ for their whole life, so each comparison is
of a fresh pair.
"""

from __future__ import annotations

BASELINE, CANDIDATE = SIDES = ("baseline", "candidate")


class GateError(Exception):
    """Something about the call, an interpreter or a file; the message is one line."""
