"""Fewer cases than a full cross product that still meet every value, and every pair of values that matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import combinations, product
from typing import NamedTuple

import pytest

Row = dict[str, str]
Axis = Mapping[str, object] | Iterable[object]


def named(axis: Axis) -> dict[str, object]:
    """The values of an axis under what stands for them in a test's id."""
    return dict(axis) if isinstance(axis, Mapping) else {str(value): value for value in axis}


def covering_rows(axes: Mapping[str, Collection[str]], edges: Collection[str] = ()) -> list[Row]:
    """Rows that meet each value of each axis, and each pair of values of the axes after the first; of ``edges``,
    values of the first axis, each pair with any other axis.

    Edges are where a fault may not show (nothing in the input, one number): unless all are, what the other axes must
    meet they meet elsewhere. Greedy and without chance: what a row leaves open goes to the value that meets most, then
    to the least used.
    """
    first, *others = axes
    plain = [value for value in axes[first] if value not in edges] or list(axes[first])
    wanted = [Wanted({first: value}) for value in axes[first]]
    if len(others) < 2:
        wanted += [Wanted({name: value}, plain) for name in others for value in axes[name]]
    for one, other in combinations(others, 2):
        wanted += [Wanted({one: a, other: b}, plain) for a, b in product(axes[one], axes[other])]
    for name in others:
        wanted += [Wanted({first: edge, name: value}) for edge, value in product(edges, axes[name])]
    unmet = sorted(wanted, key=lambda item: -len(item.values))
    used: Counter[tuple[str, str]] = Counter()
    rows = []
    while unmet:
        row = dict(unmet[0].values)
        for name in axes:
            if name not in row:
                allowed = unmet[0].where or axes[first] if name == first else axes[name]
                row[name] = max(allowed, key=lambda value: (gain(row, name, value, unmet), -used[name, value]))
        unmet = [item for item in unmet if not item.met(row, first)]
        used.update(row.items())
        rows.append({name: row[name] for name in axes})
    order = {value: place for place, value in enumerate(axes[first])}
    return sorted(rows, key=lambda row: order[row[first]])


class Wanted(NamedTuple):
    """Values that some row must have together; ``where`` not empty, with one of these values of the first axis."""

    values: Row
    where: Collection[str] = ()

    def met(self, row: Row, first: str) -> bool:
        return self.values.items() <= row.items() and (not self.where or row[first] in self.where)


def gain(row: Row, name: str, value: str, unmet: Iterable[Wanted]) -> int:
    items = {**row, name: value}.items()
    return sum(item.values.get(name) == value and item.values.items() <= items for item in unmet)


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
