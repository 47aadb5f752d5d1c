"""Prints how our timing agrees with the field's own, row by row of the benchmarks, interleaved in one run.

    python -m selftests.agreement [--device cpu] [--seconds 0.02] [--turns 15] [ROW ...]

On the CPU beside ``torch.utils.benchmark.Timer.blocked_autorange``, on CUDA also beside ``triton.testing.do_bench``.
A ROW is a pattern such as 'VGG, *'; without one all rows are timed. What must happen before each call, which
blocked_autorange does not know, is timed with it in both. Medians agree, by the median of the turns' ratios, within
3 % above a millisecond, 10 % below. Rows that do not, although the ratios leave no doubt, are apart and make the exit
code 1; the others are not resolvable on a machine this busy.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch.utils.benchmark import Timer

from benchmarks.rows import Row, Subject, rows
from torchclaims.measure.clocks import Clock
from torchclaims.measure.machine import cache_flush, condition
from torchclaims.measure.timing import Samples, check_seconds, measure, median_interval

AGREES, APART, UNRESOLVED = "agrees", "apart", "not resolvable here"
CALLS = 5  # that a turn has time for
LONG, WITHIN_LONG, WITHIN_SHORT = 1e-3, 0.03, 0.10

Medians = Callable[[Callable[[], object], str, float], float]


def by_us(call: Callable[[], object], device: str, seconds: float) -> float:
    """Seconds a call by our clock on the host."""
    return measure(call, Clock.of(device), seconds=seconds).median()


def by_blocked_autorange(call: Callable[[], object], device: str, seconds: float) -> float:
    """Seconds a call by PyTorch's own timer, with as many threads as we have."""
    timer = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
    return timer.blocked_autorange(min_run_time=seconds).median


def by_us_on_the_device(call: Callable[[], object], device: str, seconds: float) -> float:
    """Seconds a call by the device's events, its cache flushed before each."""
    samples: Samples = measure(call, Clock.of(device, wait=False), seconds=seconds, setup=cache_flush(device))
    return samples.median("device")


def by_do_bench(call: Callable[[], object], device: str, seconds: float) -> float:
    """Seconds a call by Triton's timer, which reads events too and flushes the cache."""
    testing = importlib.import_module("triton.testing")
    return float(testing.do_bench(call, warmup=100 * seconds, rep=1000 * seconds, return_mode="median")) / 1e3


PAIRS: dict[str, tuple[Medians, Medians]] = {"blocked_autorange": (by_us, by_blocked_autorange)}
ON_CUDA: dict[str, tuple[Medians, Medians]] = {**PAIRS, "do_bench": (by_us_on_the_device, by_do_bench)}


def matching(patterns: Sequence[str], device: str) -> list[Row]:
    """The rows for ``device`` that one of the patterns matches.

    Raises:
        ValueError: there is none.
    """
    found = [row for row in rows(device) if any(fnmatch.fnmatchcase(str(row), pattern) for pattern in patterns)]
    if not found:
        raise ValueError(f"no row matches {' or '.join(map(repr, patterns))}; they are called like '{rows(device)[0]}'")
    return found


def whole(subject: Subject) -> Callable[[], object]:
    """What is timed of a row: what must happen before the call, and the call."""
    setup, call = subject.setup, subject.call
    return call if setup is None else lambda: (setup(), call())


def compare(
    call: Callable[[], object], device: str, pair: Sequence[Medians], seconds: float, turns: int
) -> tuple[float, float, float, str]:
    """The median of either way's medians, that of the turns' ratios, and whether they agree.

    The ways take turns, and turns at being first: what slows the machine for longer than a turn slows both. A turn is
    long enough for a few calls, or theirs would be a single one.
    """
    seconds = max(seconds, CALLS * by_us(call, device, seconds))
    medians: dict[Medians, list[float]] = {one: [] for one in pair}
    for turn in range(turns):
        for one in pair[:: -1 if turn % 2 else 1]:
            medians[one].append(one(call, device, seconds))
    ours, theirs = (statistics.median(medians[one]) for one in pair)
    ratios = [a / b for a, b in zip(*medians.values(), strict=True)]
    low, high = median_interval(ratios)
    within, ratio = WITHIN_LONG if theirs > LONG else WITHIN_SHORT, statistics.median(ratios)
    doubtful = APART if low > 1 + within or high < 1 - within else UNRESOLVED
    return ours, theirs, ratio, AGREES if abs(ratio - 1) <= within else doubtful


def main(arguments: list[str]) -> int:
    """Measures and prints; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m selftests.agreement", description=str(__doc__).splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--seconds", type=float, default=0.02, help="for each way in each turn")
    parser.add_argument("--turns", type=int, default=15, choices=range(1, 1000), metavar="N")
    parser.add_argument("rows", nargs="*", metavar="ROW", default=["*"])
    chosen = parser.parse_args(arguments)
    try:
        check_seconds(chosen.seconds)
        torch.zeros(1, device=chosen.device)
        selected = matching(chosen.rows, chosen.device)
    except (ValueError, RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        print(str(error).splitlines()[0])
        return 4
    for line in condition(chosen.device):
        print(line)
    verdicts: dict[str, Counter[str]] = {}
    for row in selected:
        call = whole(row.subject(chosen.device))
        for name, pair in (PAIRS if chosen.device == "cpu" else ON_CUDA).items():
            ours, theirs, ratio, verdict = compare(call, chosen.device, pair, chosen.seconds, chosen.turns)
            verdicts.setdefault(f"{name}, {'above' if theirs > LONG else 'below'} 1 ms", Counter())[verdict] += 1
            times = f"{ours * 1e3:10.4f} ms {theirs * 1e3:10.4f} ms  {ratio:6.3f}"
            print(f"{row!s:60} {name:18} {times}  {verdict}", flush=True)
    for name, seen in sorted(verdicts.items()):
        print(f"{name}: {', '.join(f'{count} {verdict}' for verdict, count in seen.items())}")
    return 1 if any(seen[APART] for seen in verdicts.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
