"""How Sequential could be broken, and, where it deviates, how it would be mended."""

from collections import OrderedDict

from torch import nn

from test_modules.containers.changes import renamed, through
from torchclaims import breaks


@breaks("seq-append")
def append_counts_from_one(patch):
    """append names the new child by its place counted from one."""

    def change(original, self, module):
        self.add_module(str(len(self) + 1), module)
        return self

    patch(nn.Sequential, "append", through(change))


@breaks("seq-append")
def append_renames_all(patch):
    """append numbers all children anew."""

    def change(original, self, module):
        original(self, module)
        renamed(self, map(str, range(len(self))))
        return self

    patch(nn.Sequential, "append", through(change))


@breaks("seq-append")
def append_returns_nothing(patch):
    """append returns None once there is a child."""

    def change(original, self, module):
        return original(self, module) if not len(self) else original(self, module) and None

    patch(nn.Sequential, "append", through(change))


def _free_name(container):
    number = len(container)
    while str(number) in container._modules:
        number += 1
    return str(number)


@breaks("seq-append-numbered-name", "seq-extend-numbered-name")
def mended_append(patch):
    """Mended: append, extend and += take the next number that is free."""

    def append(original, self, module):
        self.add_module(_free_name(self), module)
        return self

    def add(original, self, other):
        for module in other:
            self.add_module(_free_name(self), module)
        return self

    patch(nn.Sequential, "append", through(append))
    patch(nn.Sequential, "__iadd__", through(add))


@breaks("seq-extend", "mlist-extend")
def extend_leaves_out_the_last_of_three(patch):
    """extend takes two modules at most."""

    def change(original, self, modules):
        return original(self, list(modules)[:2])

    patch(nn.Sequential, "extend", through(change))
    patch(nn.ModuleList, "extend", through(change))


@breaks("seq-extend")
def extend_needs_a_sequential(patch):
    """extend ignores what has no length."""

    def change(original, self, modules):
        return original(self, modules) if hasattr(modules, "__len__") else self

    patch(nn.Sequential, "extend", through(change))


@breaks("seq-insert")
def negative_inserts_come_one_later(patch):
    """insert counts -1 as behind the last."""

    def change(original, self, index, module):
        return original(self, index + len(self) + 1 if index < 0 else index, module)

    patch(nn.Sequential, "insert", through(change))


@breaks("seq-insert")
def inserted_module_comes_last_in_order(patch):
    """insert numbers rightly, but keeps the new child behind the others."""

    def change(original, self, index, module):
        original(self, index, module)
        for name in [name for name, child in self._modules.items() if child is module]:
            self._modules[name] = self._modules.pop(name)
        return self

    patch(nn.Sequential, "insert", through(change))


@breaks("seq-insert-range")
def inserts_are_clipped(patch):
    """insert takes any index, as a list does."""

    def change(original, self, index, module):
        return original(self, max(-len(self), min(index, len(self))), module)

    patch(nn.Sequential, "insert", through(change))


@breaks("seq-insert-range")
def insert_grows_before_it_raises(patch):
    """insert adds the module at the end before it raises IndexError."""

    def change(original, self, index, module):
        if index > len(self):
            self.append(module)
        return original(self, index, module)

    patch(nn.Sequential, "insert", through(change))


@breaks("seq-insert-named")
def mended_insert(patch):
    """Mended: insert numbers all children anew."""

    def change(original, self, index, module):
        renamed(self, map(str, range(len(self))))
        return original(self, index, module)

    patch(nn.Sequential, "insert", through(change))


@breaks("seq-add")
def addition_keeps_names(patch):
    """a + b keeps the names of both."""

    def change(original, self, other):
        result = original(self, other)
        return nn.Sequential(OrderedDict([*self._modules.items(), *other._modules.items()])) if len(other) else result

    patch(nn.Sequential, "__add__", through(change))


@breaks("seq-add")
def addition_changes_the_left(patch):
    """a + b adds b's children to a as well."""

    def change(original, self, other):
        result = original(self, other)
        self.extend(list(other))
        return result

    patch(nn.Sequential, "__add__", through(change))


@breaks("seq-add")
def addition_takes_lists(patch):
    """a += b takes a list."""

    def change(original, self, other):
        return original(self, nn.Sequential(*other) if isinstance(other, list) else other)

    patch(nn.Sequential, "__iadd__", through(change))


@breaks("seq-multiply")
def products_repeat_each_child(patch):
    """a * n repeats each child n times before the next."""

    def change(original, self, count):
        original(self, count)
        return nn.Sequential(*(child for child in self for _ in range(count)))

    patch(nn.Sequential, "__mul__", through(change))


@breaks("seq-multiply")
def product_in_place_once_too_often(patch):
    """a *= n adds n times the children."""

    def change(original, self, count):
        return original(self, count + (count > 2))

    patch(nn.Sequential, "__imul__", through(change))


@breaks("seq-multiply-refused")
def zero_empties(patch):
    """a *= 0 empties the container."""

    def change(original, self, count):
        if isinstance(count, int) and count == 0:
            del self[:]
            return self
        return original(self, count)

    patch(nn.Sequential, "__imul__", through(change))


@breaks("seq-multiply-refused")
def factors_are_truncated(patch):
    """a * 1.5 is a."""

    def change(original, self, count):
        return original(self, int(count) if isinstance(count, float) else count)

    patch(nn.Sequential, "__mul__", through(change))


@breaks("seq-assign")
def assignment_renames(patch):
    """Assignment to an index names the child by the index."""

    def change(original, self, index, module):
        original(self, index, module)
        names = list(self._modules)
        names[index] = str(index % len(names))
        renamed(self, names)

    patch(nn.Sequential, "__setitem__", through(change))


@breaks("seq-delete")
def deletion_keeps_names(patch):
    """del keeps the names of what is left where they are no numbers."""

    def change(original, self, index):
        names = [name for name, child in self._modules.items()]
        del names[index]
        original(self, index)
        if any(not name.isdigit() for name in names):
            renamed(self, names)

    patch(nn.Sequential, "__delitem__", through(change))


@breaks("seq-delete")
def deletion_of_a_slice_takes_the_first(patch):
    """del of a slice with a step takes its first child only."""

    def change(original, self, index):
        taken = range(len(self))[index] if isinstance(index, slice) else []
        original(self, taken[0] if len(taken) and taken.step == 2 else index)

    patch(nn.Sequential, "__delitem__", through(change))
