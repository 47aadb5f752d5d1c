"""Prints what the gate's test costs and risks beside other sequential tests, by simulation.

    python -m selftests.gate_power [--repeats N] [--tables N] [--seed N]

First one row and kind of time, judged by three tests: `symmetry` is the gate's own; `t-mixture` is the t-test that is
valid at any time; `t-spending` looks after some of the pairs only and gives each look an equal share of the level. Each
refutes "ratio <= 1" at the level of the first of 40 hypotheses in a table at 1 %, and "ratio >= 1.05" at 1 %. "false"
is measured at 1 % and without the second statement, which would end most tests before they err.
Then whole tables: how many ring falsely if nothing but a false alarm ends them; and what becomes of them in the gate's
own code, beside the rivals that `torchclaims gate --calibrate` knows.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np
from scipy import stats

from torchclaims.gate.calibrate import ERROR, SLOWDOWNS, Cost, Pair, Rate, simulate, summary
from torchclaims.gate.decision import Rule
from torchclaims.gate.evidence import Floats, log_factors, log_mean_exp

ALPHA, HYPOTHESES, PAIRS = 0.01, 40, 100
SHIFT = math.log(1.05)
LOOKS = (4, 6, 8, 11, 15, 21, 30, 42, 60, 84, 100)
ROWS, WITHIN = 20, 0.005  # of the tables; the standard error that rounds within two processes suggest
COST = Cost(start=2.4, row=0.8)  # seconds of a pair on two cores: torch imported by both at once, two times 0.4 s a row

Noise = Callable[[np.random.Generator, float, tuple[int, ...]], Floats]
Refuting = Callable[[Floats, float], np.ndarray]  # log ratios (repeats, pairs), level -> refuted after that pair?


def normal(rng: np.random.Generator, deviation: float, shape: tuple[int, ...]) -> Floats:
    """Normal log ratios."""
    return rng.normal(0, deviation, shape)


def heavy(rng: np.random.Generator, deviation: float, shape: tuple[int, ...]) -> Floats:
    """Student's t with 3 degrees of freedom."""
    return rng.standard_t(3, shape) * deviation / math.sqrt(3)


def neighbour(rng: np.random.Generator, deviation: float, shape: tuple[int, ...]) -> Floats:
    """Now and then a neighbour: 15 % of the pairs are five times as noisy."""
    return rng.normal(0, deviation, shape) * np.where(rng.random(shape) < 0.15, 5, 1)


def modes(rng: np.random.Generator, deviation: float, shape: tuple[int, ...]) -> Floats:
    """A process is fast or, in 30 % of cases, slow for its whole life; little else differs."""
    slow = rng.random((2, *shape)) < 0.3
    scale = deviation / math.sqrt(2 * 0.3 * 0.7)
    return (slow[0] * scale - slow[1] * scale) + rng.normal(0, 0.05 * deviation, shape)


def drift(rng: np.random.Generator, deviation: float, shape: tuple[int, ...]) -> Floats:
    """The machine drifts, so that the second process differs by an amount that wanders; a coin tosses who is second."""
    steps = np.cumsum(rng.normal(0, deviation / 3, shape), axis=-1)
    return rng.choice((-1, 1), shape) * steps / 2 + rng.normal(0, deviation, shape)


def symmetry(x: Floats, level: float) -> np.ndarray:
    """`torchclaims.gate.evidence`."""
    return log_mean_exp(np.cumsum(log_factors(x, SHIFT), axis=1)) >= -math.log(level)


def t_mixture(x: Floats, level: float) -> np.ndarray:
    """A normal mixture over the standardised mean, right Haar over the deviation; half the level is for each sign.

    H. Wang and A. Ramdas, "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance",
    2023, after T. Lai, Annals of Statistics 4, 1976; with mixture variance 1, in terms of the t statistic.
    """
    n = np.arange(1, x.shape[1] + 1)
    mean = np.cumsum(x, axis=1) / n
    square = np.cumsum(x * x, axis=1)
    explained = n * mean**2 / np.maximum(square, 1e-300)  # = t^2 / (t^2 + n - 1)
    log_bayes = -np.log1p(n) / 2 - n / 2 * np.log1p(-explained * n / (n + 1))
    return (mean > 0) & (log_bayes + math.log(2) >= -math.log(level)) & (n > 1)


def t_spending(x: Floats, level: float) -> np.ndarray:
    """Student's t-test after each of LOOKS pairs, with an equal share of the level for each look."""
    refuted = np.zeros(x.shape, dtype=bool)
    for n in (look for look in LOOKS if look <= x.shape[1]):
        part = x[:, :n]
        t = part.mean(axis=1) / (part.std(axis=1, ddof=1) / math.sqrt(n))
        refuted[:, n - 1] = t >= stats.t.isf(level / len(LOOKS), n - 1)
    return refuted


NOISES: tuple[Noise, ...] = (normal, heavy, neighbour, modes, drift)
TESTS: tuple[Refuting, ...] = (symmetry, t_mixture, t_spending)


def first(refuted: np.ndarray) -> np.ndarray:
    """The number of pairs after which each repeat is refuted; beyond PAIRS where it never is."""
    return np.where(refuted.any(axis=1), refuted.argmax(axis=1) + 1, PAIRS + 1)


def one_row(test: Refuting, noise: Noise, deviation: float, repeats: int, seed: int) -> str:
    """One line on one test under one noise of this standard deviation."""
    rng = np.random.default_rng(seed)
    x = noise(rng, deviation, (repeats, PAIRS))
    words = [f"false {np.mean(test(x, ALPHA).any(axis=1)):6.2%}"]
    for slowdown in (0.0, *SLOWDOWNS):
        y = x + math.log1p(slowdown)
        slower, cleared = first(test(y, ALPHA / HYPOTHESES)), first(test(SHIFT - y, ALPHA))
        pairs = np.minimum(np.minimum(slower, cleared), PAIRS)
        undecided = np.mean(np.minimum(slower, cleared) > PAIRS)
        words.append(
            f"{slowdown:+4.0%}: slower {np.mean(slower < cleared):6.1%} open {undecided:5.1%} pairs {pairs.mean():4.1f}"
        )
    return " | ".join(words)


def false_tables(noise: Noise, tables: int, seed: int) -> Rate:
    """Tables of a build with itself that ring if no row is ever cleared, so that each of 100 pairs may ring."""
    rng = np.random.default_rng(seed)
    samples = (noise(rng, 0.03, (HYPOTHESES, PAIRS)) for _ in range(tables))
    return Rate(sum(bool(symmetry(x, ALPHA / HYPOTHESES).any()) for x in samples), tables)


def recorded(noise: Noise, cpu: float, wall: float, pairs: int, rng: np.random.Generator) -> list[Pair]:
    """Pairs of a build with itself, as they would be recorded."""
    times = {kind: noise(rng, deviation, (pairs, ROWS)) for kind, deviation in (("cpu", cpu), ("wall", wall))}
    return [
        {
            f"row {row}": {kind: float(x[pair, row]) for kind, x in times.items()} | {"cpu" + ERROR: WITHIN}
            for row in range(ROWS)
        }
        for pair in range(pairs)
    ]


def main() -> None:
    """Prints both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2000, help="of each row")
    parser.add_argument("--tables", type=int, default=200, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for noise in NOISES:
        for deviation in (0.01, 0.02, 0.035, 0.05):
            print(f"{noise.__name__}, standard deviation {deviation:.1%}")
            for test in TESTS:
                print(
                    f"  {test.__name__:10} {one_row(test, noise, deviation, options.repeats, options.seed)}", flush=True
                )
    for noise in NOISES:
        rate = false_tables(noise, 5 * options.tables, options.seed)
        print(
            f"tables of {HYPOTHESES} hypotheses, {noise.__name__}, looked at for {PAIRS} pairs: false {rate}",
            flush=True,
        )
    for noise in NOISES:
        for cpu, wall in ((0.018, 0.05), (0.034, 0.05)):
            print(f"tables of {ROWS} rows, {noise.__name__}, CPU time {cpu:.1%}, wall time {wall:.0%}, in 10 minutes")
            pairs = recorded(noise, cpu, wall, 1000, np.random.default_rng(options.seed))
            for slowdown in (0.0, *SLOWDOWNS):
                settings = {"slowdown": slowdown, "tables": options.tables, "seed": options.seed}
                print(f"  {summary(simulate(pairs, Rule(), budget=600.0, cost=COST, **settings))}", flush=True)


if __name__ == "__main__":
    main()
