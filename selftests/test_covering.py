"""Covering arrays meet what they promise with fewer cases than the product."""

from itertools import combinations, product

import pytest

from torchclaims.covering import board, covering, covering_rows

AXES = {"shape": list("abcdefg"), "weighted": ["w", "u"], "reduction": ["none", "mean", "sum"], "p": ["1", "2"]}


@pytest.mark.parametrize("edges", [[], ["a"], ["b", "g"]])
def test_rows_meet_values_pairs_and_edges(edges):
    rows = covering_rows(AXES, edges)
    for name, values in AXES.items():
        assert {row[name] for row in rows} == set(values)
    for one, other in combinations(list(AXES)[1:], 2):
        met = {(row[one], row[other]) for row in rows if row["shape"] not in edges}
        assert met == set(product(AXES[one], AXES[other]))
    for edge, name in product(edges, list(AXES)[1:]):
        assert {row[name] for row in rows if row["shape"] == edge} == set(AXES[name])
    assert len(rows) <= 7 + 4 * len(edges)
    assert rows == covering_rows(AXES, edges)


def test_several_arguments_stand_in_one_axis():
    mark = covering(shape__width={"one": ((1,), 2), "two": ((3,), 4)}, bias=[True])
    assert mark.args[0] == ["shape", "width", "bias"]
    assert [(case.id, case.values) for case in mark.args[1]] == [
        ("one-True", ((1,), 2, True)),
        ("two-True", ((3,), 4, True)),
    ]


def test_boards_share_the_product():
    ids = [{case.id for case in board(3, at, row=range(4), column="xyz").args[1]} for at in range(3)]
    assert sorted(map(len, ids)) == [4, 4, 4]
    assert set().union(*ids) == {f"{row}-{column}" for row, column in product(range(4), "xyz")}
