"""What the gate does on this machine: false alarms, and the slowdowns it sees, from pairs of a build with itself.

Tables are drawn from recorded pairs of processes, with replacement, whole pairs at a time: all rows and kinds of time
of a pair stay together, because what disturbs a process disturbs all of them. As the coin that orders a pair would, one
tossed anew for each drawn pair says which of its processes counts as the candidate. A slowdown multiplies
the candidate's times in one row. The rules that others use are judged by the same draws.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from scipy import stats

from torchclaims.gate.decision import LOOSER, Rule, Table

# row -> kind of time -> log(candidate / baseline); where it is known, kind + ERROR -> its standard error, as the rounds
# within the two processes have it: only a rival rule asks for that.
Pair = Mapping[str, Mapping[str, float]]
ERROR = " error"

SLOWDOWNS = (0.02, 0.05, 0.10)
CANDIDATES = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.10, 0.12, 0.15, 0.20, 0.30, 0.50)
NORMAL, STUDENT = float(stats.norm.ppf(0.95)), float(stats.t.ppf(0.975, 5 - 1))
WANTED = 0.95  # how often the smallest difference that can be seen is seen
RIVALS = ("pytest-benchmark, mean:5%", "one interleaved pair, t-test", "five pairs, t-interval")


@dataclass(frozen=True)
class Cost:
    """Seconds that a pair of processes takes: to start both, and for each row that they time."""

    start: float
    row: float

    def __call__(self, rows: int) -> float:
        """Seconds of a pair with so many rows."""
        return self.start + self.row * rows


FREE = Cost(0.0, 0.0)


@dataclass(frozen=True)
class Rate:
    """`count` of `of` tables."""

    count: int
    of: int

    @property
    def share(self) -> float:
        """The share that was seen."""
        return self.count / self.of

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The exact interval of the rate (C. Clopper and E. Pearson, Biometrika 26)."""
        found = stats.binomtest(self.count, self.of).proportion_ci(confidence, method="exact")
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        if not self.of:
            return "none"
        low, high = self.interval()
        return f"{self.share:.1%} [{low:.1%}, {high:.1%}]"


@dataclass(frozen=True)
class Outcome:
    """Of many tables with the same `slowdown` in one row each.

    `slower`: tables with exit 1; `seen`: those in which it was that row; `false`: those in which it was another;
    `undecided`: exit 3; `seconds`: what each table took; `rivals`: red by each rival rule.
    """

    slowdown: float
    slower: Rate
    seen: Rate
    false: Rate
    undecided: Rate
    seconds: Sequence[float]
    rivals: Mapping[str, Rate] = field(default_factory=dict)


def load(text: str) -> list[Pair]:
    """The recorded pairs: a JSON list with {row: {kind of time: log ratio}} for each pair.

    Raises:
        ValueError: it is not that, with one line that says where.
    """
    try:
        pairs = json.loads(text)
    except ValueError as error:
        raise ValueError(f"recorded pairs: not JSON: {error}") from None
    if not isinstance(pairs, list):
        raise ValueError("recorded pairs: a list is expected, one entry for each pair of processes")
    return checked(pairs)


def checked(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs as they are; ValueError unless there are two or more, of the same rows and kinds, all values finite."""
    if len(pairs) < 2:
        raise ValueError(f"recorded pairs: {len(pairs)}; at least 2 are needed, and 40 say something")
    for number, pair in enumerate(pairs, 1):
        if not isinstance(pair, Mapping) or not pair or pair.keys() != pairs[0].keys():
            raise ValueError(f"recorded pair {number}: its rows are not those of the first")
        for row, kinds in pair.items():
            if not isinstance(kinds, Mapping) or not kinds or kinds.keys() != pairs[0][row].keys():
                raise ValueError(f"recorded pair {number}, {row}: its kinds of time are not those of the first")
            for kind, value in kinds.items():
                if kind.removesuffix(ERROR) not in LOOSER:
                    raise ValueError(f"recorded pair {number}, {row}: {kind!r} is no kind of time")
                if not isinstance(value, int | float) or not math.isfinite(value):
                    raise ValueError(f"recorded pair {number}, {row}, {kind}: {value!r} is no finite number")
    return list(pairs)


def drawn(pairs: Sequence[Pair], slowed: str, slowdown: float, rng: np.random.Generator) -> Iterator[Pair]:
    """Endlessly, pairs drawn with replacement and with the order tossed anew; `slowed` is slower by `slowdown`."""
    while True:
        pair, sign = pairs[int(rng.integers(len(pairs)))], rng.choice((-1, 1))
        added = {slowed: math.log1p(slowdown)}
        yield {
            row: {
                kind: sign * value + added.get(row, 0.0) if kind in LOOSER else value for kind, value in kinds.items()
            }
            for row, kinds in pair.items()
        }


def judge(draws: Iterator[Pair], rows: Sequence[str], rule: Rule, budget: float, cost: Cost) -> tuple[Table, float]:
    """One table, and its seconds: pairs are taken while rows are open and the next one ends within the budget."""
    table, seconds = Table(rows, rule), 0.0
    while (wanted := table.open_rows()) and seconds + cost(len(wanted)) <= budget:
        seconds += cost(len(wanted))
        pair = next(draws)
        for row in wanted:
            for kind in LOOSER.keys() & pair[row].keys():
                table.add(row, kind, pair[row][kind])
    return table, seconds


def in_order(pairs: Sequence[Pair], rule: Rule, budget: float, cost: Cost) -> tuple[Rate, Rate]:
    """How many tables of the pairs just as they were recorded, none used twice, ended red and how many undecided.

    Each takes up where the one before has ended; the last, for which pairs run out, does not count.
    """
    rows, rest, codes = list(pairs[0]), iter(pairs), []
    with suppress(StopIteration):
        while cost(len(rows)) <= budget:
            codes.append(judge(rest, rows, rule, budget, cost)[0].exit_code())
    return Rate(codes.count(1), len(codes)), Rate(codes.count(3), len(codes))


def rivals(draws: Iterator[Pair]) -> dict[str, bool]:
    """Whether the rules that others use call any row slower; a rule that lacks its figures is left out.

    One process of each build, red where the second takes 5 % longer (`--benchmark-compare-fail=mean:5%`: wall time,
    no interval); the same two interleaved, red where the one-sided 5 % t-test on their rounds says so; five pairs,
    red where the two-sided 95 % t-interval is above 0. The latter two on the leading kind of time.
    """
    pairs = list(islice(draws, 5))
    known = [kind for kind in LOOSER if all(kind in kinds for kinds in pairs[0].values())]
    leading, waiting = known[0], known[-1]
    single = {row: (kinds[waiting], kinds[leading], kinds.get(leading + ERROR)) for row, kinds in pairs[0].items()}
    five = np.array([[pair[row][leading] for row in single] for pair in pairs])
    with np.errstate(divide="ignore", invalid="ignore"):
        t = five.mean(axis=0) / (five.std(axis=0, ddof=1) / math.sqrt(len(five)))
    red = {
        RIVALS[0]: any(mean > math.log(1.05) for mean, _, _ in single.values()),
        RIVALS[1]: any(error and value / error > NORMAL for _, value, error in single.values()),
        RIVALS[2]: bool((t > STUDENT).any()),
    }
    if all(error is None for _, _, error in single.values()):
        del red[RIVALS[1]]
    return red


def simulate(
    pairs: Sequence[Pair],
    rule: Rule,
    *,
    slowdown: float = 0.0,
    tables: int = 1000,
    budget: float = math.inf,
    cost: Cost = FREE,
    seed: int = 0,
) -> Outcome:
    """Judges so many tables drawn from `pairs`, each with the `slowdown` (0.05 is 5 %) in one row drawn at random.

    `budget` is in seconds and ends a table when `cost` has used it up. Raises ValueError for pairs that do not fit.
    """
    checked(pairs)
    rows, rng = list(pairs[0]), np.random.default_rng(seed)
    counts = dict.fromkeys(("slower", "seen", "false", "undecided"), 0)
    red: Counter[str] = Counter()
    seconds = []
    for _ in range(tables):
        slowed = rows[rng.integers(len(rows))]
        table, took = judge(drawn(pairs, slowed, slowdown, rng), rows, rule, budget, cost)
        alarms = {row for row, state in table.states().items() if state == "slower"}
        counts["slower"] += bool(alarms)
        counts["seen"] += slowed in alarms
        counts["false"] += bool(alarms - {slowed})
        counts["undecided"] += table.exit_code() == 3
        seconds.append(took)
        red.update(rivals(drawn(pairs, slowed, slowdown, rng)))
    rates = {name: Rate(count, tables) for name, count in counts.items()}
    return Outcome(slowdown, **rates, seconds=seconds, rivals={name: Rate(n, tables) for name, n in red.items()})


def smallest_seen(
    pairs: Sequence[Pair], rule: Rule, *, budget: float, cost: Cost, tables: int = 200, seed: int = 0
) -> float | None:
    """The smallest slowdown of one row that 95 % of tables see within `budget` seconds; None if it is above 50 %."""
    for slowdown in CANDIDATES:
        outcome = simulate(pairs, rule, slowdown=slowdown, tables=tables, budget=budget, cost=cost, seed=seed)
        if outcome.seen.share >= WANTED:
            return slowdown
    return None


def summary(outcome: Outcome) -> str:
    """One line: what became of the tables, and how long they took."""
    median, most = (float(np.quantile(outcome.seconds, part)) / 60 for part in (0.5, 0.95))
    seen = f"seen {outcome.seen}, other rows slower {outcome.false}" if outcome.slowdown else f"red {outcome.slower}"
    name = f"+{outcome.slowdown:.0%} in one row" if outcome.slowdown else "no slowdown"
    others = "".join(f"; {rival}: red {rate}" for rival, rate in outcome.rivals.items())
    return f"{name}: {seen}, undecided {outcome.undecided}, {median:.1f} min (95 %: {most:.1f}){others}"
