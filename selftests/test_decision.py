"""The gate's decision: its evidence against closed forms, its error rates by simulation, its verdicts by hand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from selftests import gate_power
from torchclaims.gate.calibrate import (
    Cost,
    Rate,
    drawn,
    in_order,
    judge,
    load,
    rivals,
    simulate,
    smallest_seen,
    summary,
)
from torchclaims.gate.decision import FAMILIES, Interval, Rule, Table, log_ratio
from torchclaims.gate.evidence import SCALES, centre, detectable, holm, log_evidence, log_factors, lower_bound

SHIFT = math.log(1.05)


def table(values: dict[str, Sequence[float]], rule: Rule = Rule(), rows: Sequence[str] = ()) -> Table:  # noqa: B008
    """A table after these log ratios, the same for CPU and wall time."""
    result = Table(rows or list(values), rule)
    for row, ratios in values.items():
        for ratio in ratios:
            result.add(row, "cpu", ratio)
            result.add(row, "wall", ratio)
    return result


def needed(value: float, rows: int = 1, rule: Rule = Rule()) -> int:  # noqa: B008
    """After how many equal pairs the first of so many rows is decided."""
    judged = Table([f"row {number}" for number in range(rows)], rule)
    pairs = 0
    while "row 0" in judged.open_rows():
        for kind in FAMILIES[0]:
            judged.add("row 0", kind, value)
        pairs += 1
    return pairs


# --- evidence


def test_evidence_is_the_likelihood_ratio_that_the_docstring_states() -> None:
    y = np.array([0.03, -0.01, 0.2])
    products = []
    for displacement in (SHIFT, SHIFT / 2):
        for scale in SCALES:
            moved = stats.logistic.pdf(y, displacement, SHIFT * scale)
            mirrored = stats.logistic.pdf(y, -displacement, SHIFT * scale)
            products.append(np.prod(2 * moved / (moved + mirrored)))
    assert math.exp(log_evidence(y, SHIFT)) == pytest.approx(np.mean(products))


def test_the_mean_factor_over_both_signs_is_one() -> None:
    x = np.array([0.0, 1e-9, 0.01, 0.3, 5.0, 300.0])
    both = np.exp(log_factors(x, SHIFT)) + np.exp(log_factors(-x, SHIFT))
    np.testing.assert_allclose(both / 2, 1.0, rtol=1e-12)


def test_evidence_grows_with_each_value() -> None:
    factors = log_factors(np.linspace(-1, 1, 2001), SHIFT)
    assert (np.diff(factors, axis=0) >= -1e-11).all()


def test_no_single_value_outweighs_a_factor_of_two_or_the_densities_own_bound() -> None:
    factors = log_factors(np.array([1e6, -1e6]), SHIFT)
    assert (factors[0] <= math.log(2)).all()
    assert (factors[1] >= math.log(2) - 2 / min(SCALES) - 1).all()


@pytest.mark.parametrize("noise", gate_power.NOISES)
def test_evidence_is_reached_falsely_no_more_often_than_stated(noise: gate_power.Noise) -> None:
    """2000 runs of 50 pairs, looked at after each. At a true rate of 5 % more than 140 occur with a chance of 4e-5."""
    x = noise(np.random.default_rng(5), 0.03, (2000, 50))
    assert gate_power.symmetry(x, 0.05).any(axis=1).sum() <= 140


def test_t_tests_ring_where_processes_have_modes() -> None:
    """Why it is no t-test: pairs that differ by nothing, or by a constant. At 1 / 4000, 2 of 8000 runs may err."""
    x = gate_power.modes(np.random.default_rng(5), 0.05, (8000, 11))
    assert gate_power.t_spending(x, 1 / 4000).any(axis=1).sum() > 8
    assert gate_power.symmetry(x, 1 / 4000).any(axis=1).sum() <= 2


def test_a_bound_is_where_the_evidence_reaches_the_level() -> None:
    y = np.random.default_rng(1).normal(0.02, 0.03, 30)
    bound = lower_bound(y, SHIFT, 0.01)
    assert log_evidence(y - bound, SHIFT) == pytest.approx(math.log(100), abs=1e-6)
    assert bound < y.mean() < -lower_bound(-y, SHIFT, 0.01)


def test_a_bound_of_few_values_is_infinite() -> None:
    assert lower_bound(np.full(6, 3.0), SHIFT, 0.01) == -math.inf


def test_the_centre_is_that_of_hodges_and_lehmann() -> None:
    assert centre(np.array([1.0, 2.0, 9.0])) == 3.5  # of 1, 1.5, 2, 5, 5.5, 9
    assert centre(np.array([0.1])) == 0.1


@pytest.mark.parametrize(
    ("p_values", "refuted"),
    [
        ([0.002, 0.004, 0.2], 2),
        ([0.004, 0.002, 0.004], 3),
        ([0.006, 0.002, 0.006], 1),
        ([0.1, 0.2], 0),
        ([0.001, 0.001], 2),
        ([0.01], 1),
    ],
)
def test_holm(p_values: list[float], refuted: int) -> None:
    """Step down by hand at 1 %: 0.01 / 3, 0.01 / 2, 0.01 / 1."""
    level = holm([-math.log(p) + 1e-12 for p in p_values], 0.01)
    assert sum(p <= level * (1 + 1e-9) for p in p_values) == refuted


# --- verdicts


@pytest.mark.parametrize("value", [0.0, 0.1, 5.0, -5.0])
def test_one_pair_is_never_a_decision(value: float) -> None:
    judged = table({"a": [value]})
    verdict = judged.verdicts()["a"]
    assert (verdict.state, verdict.low, verdict.high, verdict.pairs) == ("undecided", 0.0, math.inf, 1)
    assert verdict.detectable == math.inf
    assert judged.exit_code() == 3
    assert judged.open_rows() == ["a"]


@pytest.mark.parametrize(("value", "state"), [(0.0, "not slower"), (0.3, "slower"), (-0.3, "faster")])
def test_equal_values_decide_after_as_many_pairs_as_signs_can(value: float, state: str) -> None:
    rows = 20
    level = Rule().alpha / (1 if value == 0 else 2 * rows)
    pairs = needed(value, rows)
    assert math.log2(1 / level) <= pairs <= math.log2(1 / level) + 3
    values = {f"row {number}": [value] * (pairs if number == 0 else 0) for number in range(rows)}
    assert table(values).verdicts()["row 0"].state == state


def test_more_rows_take_more_pairs_to_be_slower_and_no_more_to_be_cleared() -> None:
    assert needed(0.1, 1) < needed(0.1, 100)
    assert needed(0.0, 1) == needed(0.0, 100)


def test_a_slower_row_leaves_more_of_alpha_to_the_others() -> None:
    few, many = [0.1] * 8, [0.1] * 20
    rule = Rule(thresholds={"b": 0.05})
    assert table({"a": [0.0], "b": few}, rule).verdicts()["b"].state == "undecided"
    assert table({"a": many, "b": [*few, 0.1]}, rule).verdicts()["b"].state == "slower"
    assert table({"a": [0.0], "b": [*few, 0.1]}, rule).verdicts()["b"].state == "undecided"


def test_the_order_of_pairs_and_rows_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.03, 0.03, 25), rng.normal(0, 0.05, 25)
    one = table({"a": a, "b": b}).verdicts()
    other = table({"b": b[::-1], "a": rng.permutation(a)}).verdicts()
    for row in "ab":
        assert one[row].state == other[row].state
        assert (one[row].low, one[row].high) == pytest.approx((other[row].low, other[row].high))


def test_exchanging_the_builds_mirrors_the_interval() -> None:
    x = np.random.default_rng(4).normal(0.01, 0.03, 20)
    one, other = table({"a": x}).verdicts()["a"], table({"a": -x}).verdicts()["a"]
    assert (one.low, one.estimate, one.high) == pytest.approx((1 / other.high, 1 / other.estimate, 1 / other.low))


def test_a_slower_value_never_makes_a_row_less_slow() -> None:
    x = np.random.default_rng(6).normal(0.0, 0.04, 10)
    order = ("faster", "not slower", "undecided", "slower")
    states = [table({"a": x + step}).verdicts()["a"] for step in np.linspace(-0.2, 0.2, 21)]
    assert [order.index(verdict.state) for verdict in states] == sorted(
        order.index(verdict.state) for verdict in states
    )
    assert [verdict.low for verdict in states] == sorted(verdict.low for verdict in states)
    assert {verdict.state for verdict in states} == set(order)


def test_slower_by_less_than_the_threshold_is_not_slower() -> None:
    verdict = table({"a": [0.02] * 40}).verdicts()["a"]
    assert verdict.state == "not slower"
    assert verdict.estimate == pytest.approx(math.exp(0.02))
    assert 1 < verdict.low < verdict.estimate < verdict.high < 1.05


def test_what_only_waits_is_seen_in_wall_time() -> None:
    judged = Table(["a"], Rule())
    for _ in range(20):
        judged.add("a", "cpu", 0.0)
        judged.add("a", "wall", 0.2)
    verdict = judged.verdicts()["a"]
    assert (verdict.state, verdict.kind, judged.exit_code()) == ("slower", "wall", 1)
    assert verdict.kinds["cpu"].high < 1.05
    assert verdict.low == verdict.kinds["wall"].low > 1


@pytest.mark.parametrize(("leading", "waiting"), FAMILIES)
def test_wall_and_host_time_have_twice_the_threshold(leading: str, waiting: str) -> None:
    rule = Rule(threshold=0.04, thresholds={"own": 0.1})
    assert (rule.shift("a", leading), rule.shift("a", waiting)) == (math.log1p(0.04), math.log1p(0.08))
    assert (rule.shift("own", leading), rule.shift("own", waiting)) == (math.log1p(0.1), math.log1p(0.2))


def test_a_row_is_green_only_if_each_kind_of_time_is() -> None:
    judged = Table(["a"], Rule())
    for _ in range(20):
        judged.add("a", "cpu", 0.0)
    assert judged.verdicts()["a"].state == "undecided"
    assert judged.verdicts()["a"].kind == "wall"
    assert judged.exit_code() == 3
    for _ in range(20):
        judged.add("a", "wall", 0.0)
    assert judged.exit_code() == 0


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"a": [0.0] * 9, "b": [0.0] * 9}, 0),
        ({"a": [0.0] * 9, "b": [0.0] * 3}, 3),
        ({"a": [0.0] * 9, "b": []}, 3),
        ({"a": [0.2] * 20, "b": []}, 1),
        ({"a": [0.2] * 20, "b": [0.0] * 9}, 1),
        ({"a": [-0.2] * 20, "b": [0.0] * 9}, 0),
    ],
)
def test_undecided_is_never_green(values: dict[str, Sequence[float]], code: int) -> None:
    assert table(values).exit_code() == code


def test_rows_are_wanted_until_they_are_decided_or_pairs_run_out() -> None:
    noisy = [(-1) ** number * 0.5 for number in range(12)]
    values = {"quiet": [0.0] * 10, "noisy": noisy, "new": []}
    assert table(values).open_rows() == ["noisy", "new"]
    assert table(values, Rule(max_pairs=12)).open_rows() == ["new"]
    assert table(values, Rule(max_pairs=12)).exit_code() == 3


def test_a_row_that_seems_faster_is_wanted_until_that_is_sure() -> None:
    rows = [str(number) for number in range(20)]
    judged = table({"0": [-0.2] * 9}, rows=rows)
    assert judged.states()["0"] == judged.verdicts()["0"].state == "not slower"
    assert "0" in judged.open_rows()
    sure = table({"0": [-0.2] * 15}, rows=rows)
    assert sure.states()["0"] == "faster"
    assert "0" not in sure.open_rows()


@pytest.mark.parametrize("noise", [gate_power.heavy, gate_power.neighbour])
@pytest.mark.parametrize("pairs", [15, 40])
def test_what_could_have_been_seen_is_seen(noise: gate_power.Noise, pairs: int) -> None:
    """50 series, each moved by what the series before it says could be seen."""
    series = noise(np.random.default_rng(8), 0.04, (51, pairs))
    seen = [
        log_evidence(one + detectable(before, SHIFT, 0.001), SHIFT) >= math.log(1000)
        for before, one in pairwise(series)
    ]
    assert sum(seen) >= {15: 30, 40: 42}[pairs]


def test_more_pairs_could_see_less() -> None:
    x = np.random.default_rng(9).normal(0, 0.04, 80)
    detectable = [table({"a": x[:pairs]}).verdicts()["a"].detectable for pairs in (5, 20, 40, 80)]
    assert detectable == sorted(detectable, reverse=True)
    assert detectable[0] == math.inf


# --- bad input


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_impossible_times_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"the candidate took .* positive and finite"):
        log_ratio(value, 1.0)
    with pytest.raises(ValueError, match=r"the baseline took .* positive and finite"):
        log_ratio(1.0, value)
    assert log_ratio(2.0, 1.0) == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("row", "kind", "value", "message"),
    [
        ("a", "cpu", math.nan, "a, cpu: the log ratio of a pair is nan: it must be finite"),
        ("a", "cpu", -math.inf, "a, cpu: the log ratio of a pair is -inf: it must be finite"),
        ("x", "cpu", 0.0, "no row 'x' in this table"),
        ("a", "gpu", 0.0, "a: unknown kind of time 'gpu'; known are cpu, wall, device, host"),
        ("b", "device", 0.0, "b: device time in a row of cpu and wall time"),
    ],
)
def test_what_is_no_pair_is_refused(row: str, kind: str, value: float, message: str) -> None:
    judged = table({"a": [], "b": [0.0]})
    with pytest.raises(ValueError, match=rf"^{re.escape(message)}$"):
        judged.add(row, kind, value)
    assert judged.verdicts()["b"].pairs == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 0.0}, "the threshold of the table is 0.0: it must be positive"),
        ({"threshold": math.nan}, "the threshold of the table is nan"),
        ({"thresholds": {"a": -0.1}}, "the threshold of a is -0.1"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"alpha": 1.0}, "alpha is 1.0"),
        ({"max_pairs": 0}, "max_pairs is 0"),
    ],
)
def test_impossible_rules_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rule(**settings)  # type: ignore[arg-type]


def test_impossible_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        Table([], Rule())
    with pytest.raises(ValueError, match=r"rows named more than once: a$"):
        Table(["a", "b", "a"], Rule())


# --- calibration


def test_the_interval_of_a_rate_is_that_of_clopper_and_pearson() -> None:
    low, high = Rate(0, 40).interval()
    assert (low, high) == pytest.approx((0.0, 1 - 0.025 ** (1 / 40)))
    assert str(Rate(0, 40)) == "0.0% [0.0%, 8.8%]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "recorded pairs: not JSON"),
        ("{}", "recorded pairs: a list is expected"),
        ("[]", "recorded pairs: 0; at least 2"),
        ('[{"a": {"cpu": 0}}, {"b": {"cpu": 0}}]', "recorded pair 2: its rows"),
        ('[{"a": {"cpu": 0}}, {"a": {"wall": 0}}]', "recorded pair 2, a: its kinds"),
        ('[{"a": {"cpu": 0}}, {"a": 3}]', "recorded pair 2, a: its kinds"),
        ('[{"a": {"cpu": 0}}, {"a": {"cpu": NaN}}]', "recorded pair 2, a, cpu: nan is no finite number"),
        ('[{"a": {"cpu": "0"}}, {"a": {"cpu": 1}}]', "recorded pair 1, a, cpu: '0' is no finite number"),
        ('[{"a": {"gpu": 0}}, {"a": {"gpu": 1}}]', "recorded pair 1, a: 'gpu' is no kind of time"),
    ],
)
def test_recorded_pairs_that_are_none_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(text)


def pairs(number: int = 60, deviation: float = 0.03) -> list[dict[str, dict[str, float]]]:
    """Pairs of a build with itself: four rows, disturbed together and each alone."""
    rng = np.random.default_rng(2)
    shared, own = rng.normal(0, deviation / 2, (number, 1, 2)), rng.normal(0, deviation, (number, 4, 2))
    return [
        {row: dict(zip(("cpu", "wall"), x, strict=True)) for row, x in zip("abcd", y, strict=True)}
        for y in shared + own
    ]


def test_pairs_are_drawn_whole_and_in_either_order() -> None:
    recorded = [{"a": {"cpu": 1.0, "wall": 2.0}, "b": {"cpu": 3.0, "wall": 4.0, "cpu error": 0.5}}] * 2
    draws = drawn(recorded, "b", 0.05, np.random.default_rng(0))
    seen = {json.dumps(next(draws)) for _ in range(50)}
    assert seen == {
        json.dumps(
            {
                "a": {"cpu": sign * 1.0, "wall": sign * 2.0},
                "b": {"cpu": sign * 3.0 + SHIFT, "wall": sign * 4.0 + SHIFT, "cpu error": 0.5},
            }
        )
        for sign in (-1, 1)
    }


def test_calibration_finds_slowdowns_and_no_others() -> None:
    """Of 25 tables at most 1 misses + 5 % in one row, and none rings falsely."""
    rows = load(json.dumps(pairs()))
    alike, slower = (simulate(rows, Rule(), slowdown=slowdown, tables=25) for slowdown in (0.0, 0.05))
    assert (alike.slower.count, alike.undecided.count) == (0, 0)
    assert slower.seen.count >= 24
    assert slower.false.count == 0
    assert set(alike.rivals) == {"pytest-benchmark, mean:5%", "five pairs, t-interval"}
    assert alike.rivals["pytest-benchmark, mean:5%"].count > 2
    assert summary(alike).startswith("no slowdown: red 0.0% [0.0%, 13.7%], undecided 0.0%")
    assert summary(slower).startswith("+5% in one row: seen 100.0%")


def test_the_same_seed_gives_the_same_figures() -> None:
    assert simulate(pairs(), Rule(), tables=10, seed=4) == simulate(pairs(), Rule(), tables=10, seed=4)


def test_a_budget_that_ends_leaves_rows_undecided() -> None:
    draws = drawn(pairs(), "a", 0.0, np.random.default_rng(0))
    judged, seconds = judge(draws, list("abcd"), Rule(), budget=30.0, cost=Cost(5.0, 0.5))
    assert seconds == 28.0
    assert judged.exit_code() == 3
    assert {verdict.pairs for verdict in judged.verdicts().values()} == {4}


def test_tables_of_pairs_as_they_came() -> None:
    """Each pair counts once; a table whose pairs run out does not count, nor does one that no pair fits into."""
    quiet, cost = [{"a": {"cpu": 0.001 * sign, "wall": 0.001 * sign}} for sign in (-1, 1)] * 50, Cost(5.0, 0.5)
    needed = judge(iter(quiet), ["a"], Rule(), math.inf, cost)[0].verdicts()["a"].pairs
    red, undecided = in_order(quiet, Rule(), math.inf, cost)
    assert (red.count, undecided.count, red.of) == (0, 0, 100 // needed)
    slower = [{"a": {"cpu": 0.1, "wall": 0.1}}] * 50
    assert in_order(slower, Rule(), math.inf, cost)[0].share == 1
    assert in_order(slower[:3], Rule(), math.inf, cost)[0].of == 0
    assert str(in_order(slower, Rule(), 5.0, cost)[0]) == "none"
    assert in_order(slower, Rule(), 6.0, cost)[1].share == 1


def test_a_longer_budget_sees_smaller_slowdowns() -> None:
    cost = Cost(5.0, 0.5)
    short, long = (smallest_seen(pairs(), Rule(), budget=budget, cost=cost, tables=8) for budget in (90.0, 600.0))
    assert short is not None
    assert long is not None
    assert 0.02 < long < short
    assert smallest_seen(pairs(), Rule(), budget=30.0, cost=cost, tables=1) is None


def test_rivals_by_hand() -> None:
    row = {"cpu": 0.02, "wall": 0.06, "cpu error": 0.005}
    assert list(rivals(iter([{"a": row}] * 5)).values()) == [True, True, True]
    row = {"cpu": 0.02, "wall": 0.04, "cpu error": 0.02}
    values = [{"a": row | {"cpu": value}} for value in (0.02, -0.02, 0.03, 0.01, 0.0)]
    assert list(rivals(iter(values)).values()) == [False, False, False]


def test_the_simulation_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["gate_power", "--repeats", "2", "--tables", "1"])
    monkeypatch.setattr(gate_power, "NOISES", gate_power.NOISES[:1])
    monkeypatch.setattr(gate_power, "ROWS", 2)
    gate_power.main()
    lines = capsys.readouterr().out.splitlines()
    assert sum("symmetry" in line for line in lines) == 4
    assert sum("in one row" in line for line in lines) == 6


def test_an_interval_without_pairs_bounds_nothing() -> None:
    assert (Interval().low, Interval().high, Interval().pairs) == (0.0, math.inf, 0)
