"""Sequential beside the Python list that it stands for."""

import pytest
from torch import nn

from test_modules.containers.sequences import PLACES, attempt, holds, layers, named
from torchclaims import claim


@claim("seq-append")
@pytest.mark.parametrize("count", [0, 1, 3, 7])
def test_append(count):
    *expected, last = layers(count + 1)
    container = nn.Sequential(*expected)
    assert container.append(last) is container
    assert holds(container, [*expected, last])


@claim("seq-append")
def test_append_to_named():
    container, last = named("first", "second"), nn.GELU()
    before = list(container.named_children())
    container.append(last).append(nn.Identity())
    assert list(container.named_children()) == [*before, ("2", last), ("3", container[3])]


@claim("seq-append-numbered-name")
@pytest.mark.parametrize("names", [("1",), ("2", "x"), ("1", "2", "3")], ids=" ".join)
def test_append_where_the_number_is_taken(names):
    container, last = named(*names), nn.GELU()
    before = list(container)
    container.append(last)
    assert list(container) == [*before, last], f"expected {len(before) + 1} children, seen {len(container)}"


@claim("seq-extend")
@pytest.mark.parametrize("kind", [list, tuple, iter, nn.ModuleList, lambda some: nn.Sequential(*some)],
                         ids=["list", "tuple", "iterator", "ModuleList", "Sequential"])  # fmt: skip
@pytest.mark.parametrize("count", [0, 1, 3])
def test_extend(count, kind):
    expected = layers(count + 2)
    container = nn.Sequential(*expected[:2])
    assert container.extend(kind(expected[2:])) is container
    assert holds(container, expected)


@claim("seq-extend-numbered-name")
@pytest.mark.parametrize("extend", ["extend", "+="])
def test_extend_where_numbers_are_taken(extend):
    container, more = named("1"), layers(4)[1:]
    before = list(container)
    if extend == "extend":
        container.extend(more)
    else:
        container += nn.Sequential(*more)
    assert list(container) == [*before, *more], f"expected {len(before) + len(more)} children, seen {len(container)}"


@claim("seq-insert")
@pytest.mark.parametrize("place", range(-4, 5))
def test_insert(place):
    *expected, new = layers(5)
    container = nn.Sequential(*expected)
    assert container.insert(place, new) is container
    expected.insert(place, new)
    assert holds(container, expected)


@claim("seq-insert")
def test_insert_into_an_empty_one():
    container, new = nn.Sequential(), nn.ReLU()
    container.insert(0, new)
    assert holds(container, [new])


@claim("seq-insert-range")
@pytest.mark.parametrize(("count", "place"), [(0, 1), (0, -1), (3, 4), (3, -4), (3, 99), (1, -2)])
def test_insert_outside(count, place):
    expected = layers(count)
    container = nn.Sequential(*expected)
    assert attempt(lambda: container.insert(place, nn.ReLU())) == f"IndexError: Index out of range: {place}"
    assert holds(container, expected)


@claim("seq-insert-named")
@pytest.mark.parametrize("names", [("first", "second"), ("1", "0")], ids=" ".join)
def test_insert_between_names(names):
    container, new = named(*names), nn.GELU()
    first, second = container
    raised = attempt(lambda: container.insert(1, new))
    seen = [type(one).__name__ for one in container]
    assert list(container) == [first, new, second], f"raised {raised}, seen {seen}"


@claim("seq-add")
@pytest.mark.parametrize("left", [nn.Sequential(*layers(2)), named("a", "b")], ids=["numbered", "named"])
@pytest.mark.parametrize("right", [nn.Sequential(*layers(3)), named("c", "a"), nn.Sequential()],
                         ids=["numbered", "named", "empty"])  # fmt: skip
def test_add(left, right):
    before = [list(left.named_children()), list(right.named_children())]
    total = left + right
    assert type(total) is nn.Sequential
    assert holds(total, [*left, *right])
    assert [list(left.named_children()), list(right.named_children())] == before
    assert total is not left


@claim("seq-add")
def test_add_in_place():
    expected = layers(4)
    container = same = nn.Sequential(*expected[:2])
    same += nn.Sequential(*expected[2:])
    assert same is container
    assert holds(container, expected)


@claim("seq-add")
@pytest.mark.parametrize(
    "other", [[nn.ReLU()], nn.ReLU(), nn.ModuleList([nn.ReLU()]), None], ids=lambda one: type(one).__name__
)
def test_add_something_else(other):
    expected = layers(2)
    container = nn.Sequential(*expected)
    message = "ValueError: add operator supports only objects of Sequential class"
    assert attempt(lambda: container + other).startswith(message)
    assert attempt(lambda: container.__iadd__(other)).startswith(message)
    assert holds(container, expected)


@claim("seq-multiply")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_multiply(count):
    expected = layers(3)
    container = nn.Sequential(*expected)
    for product in (container * count, count * container, named("a", "b", "c") * count):
        assert type(product) is nn.Sequential
        assert product is not container
    assert holds(container * count, expected * count)
    assert holds(count * container, expected * count)
    assert holds(container, expected)
    same = container
    same *= count
    assert same is container
    assert holds(container, expected * count)


@claim("seq-multiply")
def test_products_share_parameters():
    layer = nn.Linear(2, 2)
    assert len(list((nn.Sequential(layer) * 3).parameters())) == 2
    assert list((named("a") * 2).state_dict()) == []
    assert [name for name, _ in (named("a", "b") * 2).named_modules(remove_duplicate=False)] == ["", *"0123"]


@claim("seq-multiply-refused")
@pytest.mark.parametrize(
    ("factor", "error"),
    [(0, "ValueError"), (-1, "ValueError"), (1.5, "TypeError"), ("2", "TypeError"), (None, "TypeError")],
)
def test_multiply_refused(factor, error):
    expected = layers(2)
    container = nn.Sequential(*expected)
    for product in (lambda: container * factor, lambda: factor * container, lambda: container.__imul__(factor)):
        assert attempt(product).startswith(f"{error}: ")
    assert holds(container, expected)


@claim("seq-assign")
@pytest.mark.parametrize("place", range(-3, 3))
def test_assign(place):
    for container in (nn.Sequential(*layers(3)), named("c", "b", "a")):
        expected, names = list(container), [name for name, _ in container.named_children()]
        container[place] = expected[place] = nn.GELU()
        assert list(container) == expected
        assert [name for name, _ in container.named_children()] == names


@claim("seq-delete")
@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("kind", ["numbered", "named"])
def test_delete(kind, place):
    for take in ("del", "pop"):
        container = nn.Sequential(*layers(4)) if kind == "numbered" else named("d", "2", "0", "c")
        expected = list(container)
        if take == "del":
            del container[place]
        else:
            popped = container.pop(place)
            wanted = expected[place]
            assert (list(popped) == wanted) if isinstance(place, slice) else (popped is wanted)
        del expected[place]
        assert holds(container, expected)
