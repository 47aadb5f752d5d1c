"""What pairs of a build with itself say about this machine: how often the gate is wrong here, and what it can see."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from torchclaims.gate import BASELINE, CANDIDATE, SIDES, GateError, calibrate
from torchclaims.gate.decision import Rule, log_ratio
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
    baseline, candidate = (pair.lives[side] for side in (BASELINE, CANDIDATE))
    ratios = {kind: log_ratio(value, baseline.figures[row][kind]) for kind, value in candidate.figures[row].items()}
    errors = {
        kind + calibrate.ERROR: math.hypot(baseline.scatter[row][kind], candidate.scatter[row][kind])
        for kind in ratios
        if all(kind in life.scatter.get(row, {}) for life in (baseline, candidate))
    }
    return ratios | errors


def cost(pairs: Sequence[Pair], start: float) -> calibrate.Cost:
    """What a pair takes here; ``start`` is the seconds of a process that times nothing."""
    sound = [pair for pair in pairs if pair.rows()]
    row = statistics.median(
        (sum(pair.lives[side].seconds for side in SIDES) - 2 * start) / len(pair.rows()) for pair in sound
    )
    return calibrate.Cost(2 * start, max(row, 0.0))


def lines(pairs: Sequence[Pair], rule: Rule, budget: float, start: float, seed: int) -> Iterator[str]:
    """Tables drawn from the recorded pairs: those without and with a slowdown, and what a budget can see."""
    ratios, price = log_ratios(pairs), cost(pairs, start)
    yield (
        f"{len(ratios)} pairs of {len(ratios[0])} rows recorded; {TABLES} tables drawn from them for each line,"
        f" whole pairs at a time; {price(len(ratios[0])):.0f} s a pair, {budget / 60:.3g} minutes a table"
    )
    for slowdown in (0.0, *calibrate.SLOWDOWNS):
        outcome = calibrate.simulate(
            ratios, rule, slowdown=slowdown, tables=TABLES, budget=budget, cost=price, seed=seed
        )
        yield calibrate.summary(outcome) + ("" if slowdown else f"; promised: at most {rule.alpha:.1%}")
    for limit in sorted({*BUDGETS, budget}):
        seen = calibrate.smallest_seen(ratios, rule, budget=limit, cost=price, tables=TABLES // 4, seed=seed)
        what = "no difference below +50%" if seen is None else f"+{seen:.0%} in one row"
        yield f"{limit / 60:.3g} minutes see {what} in 95 % of tables"
