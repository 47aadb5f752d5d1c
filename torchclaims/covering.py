"""Fewer cases than a full cross product that still meet every value, and every pair of values that matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import combinations, product

import pytest

Row = dict[str, str]
Axis = Mapping[str, object] | Iterable[object]


def named(axis: Axis) -> dict[str, object]:
    """The values of an axis under what stands for them in a test's id."""
    return dict(axis) if isinstance(axis, Mapping) else {str(value): value for value in axis}


def covering_rows(axes: Mapping[str, Collection[str]], edges: Collection[str] = ()) -> list[Row]:
    """Rows that meet each value of each axis, each pair of values of the axes after the first, and of ``edges``,
    values of the first axis, each pair with any other axis.

    Greedy and without chance: what is left open for a row goes to the value that meets most, then to the least used.
    """
    first, *others = axes
    wanted = [frozenset({(name, value)}) for name in axes for value in axes[name]]
    for one, other in combinations(others, 2):
        wanted += [frozenset({(one, a), (other, b)}) for a, b in product(axes[one], axes[other])]
    for name in others:
        wanted += [frozenset({(first, edge), (name, value)}) for edge, value in product(edges, axes[name])]
    open_ = dict.fromkeys(sorted(wanted, key=len, reverse=True))
    used: Counter[tuple[str, str]] = Counter()
    rows = []
    while open_:
        row = dict(next(iter(open_)))
        for name in axes:
            if name not in row:
                row[name] = max(axes[name], key=lambda value: (gain(row, name, value, open_), -used[name, value]))
        for item in [item for item in open_ if item <= row.items()]:
            del open_[item]
        used.update(row.items())
        rows.append({name: row[name] for name in axes})
    order = {value: place for place, value in enumerate(axes[first])}
    return sorted(rows, key=lambda row: order[row[first]])


def gain(row: Row, name: str, value: str, open_: Iterable[frozenset[tuple[str, str]]]) -> int:
    items = {*row.items(), (name, value)}
    return sum((name, value) in wanted and wanted <= items for wanted in open_)


def covering(edges: Collection[str] = (), **axes: Axis) -> pytest.MarkDecorator:
    """Parametrises with ``covering_rows`` instead of the cross product of ``axes``.

    An axis is a mapping of ids to values, or values that say themselves. One whose name has ``__`` for commas stands
    for several arguments: ``shape__weight`` for values that are pairs.
    """
    values = {name: named(axis) for name, axis in axes.items()}
    arguments = [argument for name in axes for argument in name.split("__")]
    cases = []
    for row in covering_rows(values, edges):
        flat: list[object] = []
        for name, key in row.items():
            value = values[name][key]
            flat += list(value) if "__" in name else [value]  # type: ignore[call-overload]
        cases.append(pytest.param(*flat, id="-".join(row.values())))
    return pytest.mark.parametrize(arguments, cases)


def board(share: int = 2, at: int = 0, **axes: Axis) -> pytest.MarkDecorator:
    """Parametrises with one of ``share`` colours of a chess board of two axes: each value meets every ``share``-th
    value of the other. Tests that share a board take different colours, so that together they meet all of it."""
    (first, rows), (second, columns) = ((name, named(axis)) for name, axis in axes.items())
    arguments = [argument for name in (first, second) for argument in name.split("__")]
    cases = []
    for (i, (key, value)), (j, (other, more)) in product(enumerate(rows.items()), enumerate(columns.items())):
        if (i + j) % share == at:
            flat = [*(value if "__" in first else [value]), *(more if "__" in second else [more])]  # type: ignore[misc]
            cases.append(pytest.param(*flat, id=f"{key}-{other}"))
    return pytest.mark.parametrize(arguments, cases)
