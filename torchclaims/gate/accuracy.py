"""What pairs of a build with itself say about this machine: how often the gate is wrong here, and what it can see."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from torchclaims.gate import GateError, calibrate
from torchclaims.gate.decision import Rule
from torchclaims.gate.pairs import Pair

TABLES = 400  # that are drawn for each slowdown
BUDGETS = (300.0, 600.0, 1800.0)  # seconds, for which the smallest difference is looked for


def log_ratios(pairs: Sequence[Pair]) -> list[calibrate.Pair]:
    """The pairs that count, each with the same rows: log ratios by kind of time, and the processes' standard errors.

    Raises:
        GateError: fewer than two pairs count, or they have no row in common.
    """
    sound = [pair for pair in pairs if pair.rows()]
    rows = [row for row in sound[0].rows() if all(row in pair.rows() for pair in sound)] if sound else []
    if len(sound) < 2 or not rows:
        raise GateError(f"{len(sound)} pairs of processes were recorded; at least 2 are needed, and 40 say something")
    return [{row: _of_row(pair, row) for row in rows} for pair in sound]


def _of_row(pair: Pair, row: str) -> dict[str, float]:
    known = {}
    for kind, ratios in pair.log_ratios(row).items():
        known[kind] = statistics.median(ratios)
        if len(ratios) > 1:
            known[kind + calibrate.ERROR] = statistics.stdev(ratios) / math.sqrt(len(ratios))
    return known


def cost(pairs: Sequence[Pair], start: float) -> calibrate.Cost:
    """What a pair takes here; ``start`` is the seconds of a process that times nothing."""
    row = statistics.median((pair.seconds - start) / len(pair.rows()) for pair in pairs if pair.rows())
    return calibrate.Cost(start, max(row, 0.0))


def lines(pairs: Sequence[Pair], rule: Rule, budget: float, start: float, seed: int) -> Iterator[str]:
    """Tables drawn from the recorded pairs: those without and with a slowdown, and what a budget can see."""
    ratios, price = log_ratios(pairs), cost(pairs, start)
    yield (
        f"{len(ratios)} pairs of {len(ratios[0])} rows recorded; {price(len(ratios[0])):.0f} s a pair,"
        f" {budget / 60:.3g} minutes a table"
    )
    red, undecided = calibrate.in_order(ratios, rule, budget, price)
    yield f"as recorded, no pair used twice, {red.of} tables: red {red}, undecided {undecided}"
    yield f"{TABLES} tables drawn from them for each line, whole pairs at a time:"
    for slowdown in (0.0, *calibrate.SLOWDOWNS):
        outcome = calibrate.simulate(
            ratios, rule, slowdown=slowdown, tables=TABLES, budget=budget, cost=price, seed=seed
        )
        yield calibrate.summary(outcome) + ("" if slowdown else f"; promised: at most {rule.alpha:.1%}")
    for limit in sorted({*BUDGETS, budget}):
        seen = calibrate.smallest_seen(ratios, rule, budget=limit, cost=price, tables=TABLES // 4, seed=seed)
        what = "no difference below +50%" if seen is None else f"+{seen:.0%} in one row"
        yield f"{limit / 60:.3g} minutes see {what} in 95 % of tables"
