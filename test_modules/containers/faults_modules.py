"""How Sequential, ModuleList and ModuleDict could be broken, and, where they deviate, how they would be mended."""

from collections import OrderedDict

from torch import nn

from torchclaims import breaks


def through(change):
    """A method that goes through ``change(original, self, *args)``."""

    def make(original):
        def method(self, *args, **kwargs):
            return change(original, self, *args, **kwargs)

        return method

    return make


def _renamed(container, names):
    container._modules = OrderedDict(zip(names, container._modules.values(), strict=True))


# --- Sequential


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
        _renamed(self, map(str, range(len(self))))
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
        _renamed(self, map(str, range(len(self))))
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
        _renamed(self, names)

    patch(nn.Sequential, "__setitem__", through(change))


@breaks("seq-delete")
def deletion_keeps_names(patch):
    """del keeps the names of what is left where they are no numbers."""

    def change(original, self, index):
        names = [name for name, child in self._modules.items()]
        del names[index]
        original(self, index)
        if any(not name.isdigit() for name in names):
            _renamed(self, names)

    patch(nn.Sequential, "__delitem__", through(change))


@breaks("seq-delete")
def deletion_of_a_slice_takes_the_first(patch):
    """del of a slice with a step takes its first child only."""

    def change(original, self, index):
        taken = range(len(self))[index] if isinstance(index, slice) else []
        original(self, taken[0] if len(taken) and taken.step == 2 else index)

    patch(nn.Sequential, "__delitem__", through(change))


# --- ModuleList


@breaks("mlist-registers")
def list_starts_at_one(patch):
    """ModuleList numbers its modules from one where they come from an iterator."""

    def change(original, self, modules=None):
        once = hasattr(modules, "__next__")
        original(self, modules)
        if once:
            _renamed(self, [str(number) for number in range(1, len(self) + 1)])

    patch(nn.ModuleList, "__init__", through(change))


@breaks("mlist-index")
def slices_are_plain(patch):
    """A slice of a subclass is a ModuleList."""

    def change(original, self, index):
        return nn.ModuleList(original(self, index)) if isinstance(index, slice) else original(self, index)

    patch(nn.ModuleList, "__getitem__", through(change))


@breaks("mlist-index")
def negative_indices_are_off_by_one(patch):
    """An index below -1 counts from the one before the end."""

    def change(original, self, index):
        return original(self, index + 1 if not isinstance(index, slice) and index < -1 else index)

    patch(nn.ModuleList, "__getitem__", through(change))


@breaks("mlist-index-range")
def assignment_behind_the_end_appends(patch):
    """Assignment to the index behind the last appends."""

    def change(original, self, index, module):
        if index == len(self):
            self.append(module)
        else:
            original(self, index, module)

    patch(nn.ModuleList, "__setitem__", through(change))


@breaks("mlist-index-range")
def indices_wrap_around(patch):
    """Indices wrap around."""

    def change(original, self, index):
        return original(self, index if isinstance(index, slice) or not len(self) else index % len(self))

    patch(nn.ModuleList, "__getitem__", through(change))


@breaks("mlist-assign-delete")
def deletion_leaves_gaps(patch):
    """del leaves the numbers of the others."""

    def change(original, self, index):
        names = list(self._modules)
        del names[index]
        original(self, index)
        _renamed(self, names)

    patch(nn.ModuleList, "__delitem__", through(change))


@breaks("mlist-assign-delete")
def pop_returns_the_next(patch):
    """pop returns what stands at the index afterwards."""

    def change(original, self, index):
        popped = original(self, index)
        return popped if isinstance(index, slice) or not len(self) else self[max(index, -len(self)) % len(self)]

    patch(nn.ModuleList, "pop", through(change))


@breaks("mlist-append")
def append_takes_classes(patch):
    """append constructs a class that it is given."""

    def change(original, self, module):
        return original(self, module() if isinstance(module, type) else module)

    patch(nn.ModuleList, "append", through(change))


@breaks("mlist-append")
def append_of_a_list_returns_the_module(patch):
    """append returns the module."""

    def change(original, self, module):
        original(self, module)
        return module

    patch(nn.ModuleList, "append", through(change))


@breaks("mlist-extend")
def addition_extends_in_place(patch):
    """a + b is a, extended."""

    def change(original, self, other):
        return self.extend(other)

    patch(nn.ModuleList, "__add__", through(change))


@breaks("mlist-extend-refused")
def extend_takes_one_module(patch):
    """extend appends a single module."""

    def change(original, self, modules):
        single = isinstance(modules, nn.Module) and not hasattr(modules, "__iter__")
        return self.append(modules) if single else original(self, modules)

    patch(nn.ModuleList, "extend", through(change))


@breaks("mlist-extend-refused")
def extend_by_none_does_nothing(patch):
    """extend takes None for nothing."""

    def change(original, self, modules):
        return original(self, () if modules is None else modules)

    patch(nn.ModuleList, "extend", through(change))


@breaks("mlist-insert")
def insert_comes_behind(patch):
    """insert puts the module behind the index."""

    def change(original, self, index, module):
        original(self, min(index + 1, len(self)), module)

    patch(nn.ModuleList, "insert", through(change))


@breaks("mlist-insert")
def insert_replaces(patch):
    """insert at zero replaces the first."""

    def change(original, self, index, module):
        if index == 0:
            self[0] = module
        else:
            original(self, index, module)

    patch(nn.ModuleList, "insert", through(change))


@breaks("mlist-insert-negative")
def mended_list_insert(patch):
    """Mended: insert counts negative indices from the end."""

    def change(original, self, index, module):
        original(self, index + len(self) if index < 0 else index, module)

    patch(nn.ModuleList, "insert", through(change))


@breaks("mlist-iterates")
def iteration_runs_backwards(patch):
    """A ModuleList is iterated from its end."""
    patch(nn.ModuleList, "__iter__", through(lambda original, self: iter([*original(self)][::-1])))


@breaks("mlist-not-callable")
def lists_are_called_as_sequentials(patch):
    """A ModuleList calls its modules one after the other."""

    def forward(self, x):
        for module in self:
            x = module(x)
        return x

    # It has no forward of its own; the empty class between cannot be had, so that of Module is exchanged.
    def change(original, self, *args, **kwargs):
        if isinstance(self, nn.ModuleList):
            return forward(self, *args)
        return original(self, *args, **kwargs)

    patch(nn.Module, "forward", through(change))


@breaks("mlist-print")
def counts_start_at_the_first_of_a_kind(patch):
    """A printed ModuleList joins equal modules also where others stand between."""

    def change(original, self):
        kinds = list(OrderedDict((repr(one), one) for one in self).values())
        return original(nn.ModuleList(kinds)) if len(kinds) > 1 else original(self)

    patch(nn.ModuleList, "__repr__", through(change))


@breaks("mlist-print")
def ranges_leave_out_the_count(patch):
    """A printed ModuleList leaves the count out."""

    def change(original, self):
        return original(self).replace(" 2 x ", " ")

    patch(nn.ModuleList, "__repr__", through(change))


# --- ModuleDict


@breaks("mdict-registers", "mdict-order")
def keys_are_sorted(patch):
    """ModuleDict sorts the keys of a mapping."""

    def change(original, self, modules):
        original(self, sorted(modules.items()) if hasattr(modules, "items") else modules)

    patch(nn.ModuleDict, "update", through(change))


@breaks("mdict-index")
def attributes_are_contained(patch):
    """A ModuleDict contains the names of its attributes."""
    patch(nn.ModuleDict, "__contains__", through(lambda original, self, key: hasattr(self, key)))


@breaks("mdict-index")
def missing_keys_are_none(patch):
    """A missing key reads as None."""
    patch(nn.ModuleDict, "__getitem__", through(lambda original, self, key: self._modules.get(key)))


@breaks("mdict-update", "mdict-order")
def overwritten_keys_move_to_the_end(patch):
    """Assignment to a key that is there moves it to the end."""

    def change(original, self, key, module):
        if key in self:
            del self[key]
        original(self, key, module)

    patch(nn.ModuleDict, "__setitem__", through(change))


@breaks("mdict-update")
def existing_keys_are_kept(patch):
    """update keeps the modules of keys that are there."""

    def change(original, self, modules):
        pairs = modules.items() if hasattr(modules, "items") else list(modules)
        original(self, [pair for pair in pairs if pair[0] not in self])

    patch(nn.ModuleDict, "update", through(change))


@breaks("mdict-update-refused")
def long_elements_are_cut(patch):
    """update takes the first two of longer elements."""

    def change(original, self, modules):
        longer = isinstance(modules, list) and all(hasattr(one, "__len__") for one in modules)
        original(self, [one[:2] for one in modules] if longer else modules)

    patch(nn.ModuleDict, "update", through(change))


@breaks("mdict-update-refused")
def elements_are_checked_first(patch):
    """update adds nothing where an element is wrong."""

    def change(original, self, modules):
        kept = dict(self._modules)
        try:
            original(self, modules)
        except (TypeError, ValueError):
            self._modules = kept
            raise

    patch(nn.ModuleDict, "update", through(change))


@breaks("mdict-key-rules")
def numbers_become_strings(patch):
    """ModuleDict takes a number for its digits."""

    def change(original, self, key, module):
        original(self, str(key) if isinstance(key, int) else key, module)

    patch(nn.ModuleDict, "__setitem__", through(change))


@breaks("mdict-key-rules")
def methods_are_hidden(patch):
    """A key may be a method's name."""

    def change(original, self, key, module):
        if key == "type":
            self._modules[key] = module
        else:
            original(self, key, module)

    patch(nn.ModuleDict, "__setitem__", through(change))


@breaks("mdict-methods")
def pop_keeps_the_key(patch):
    """pop empties the place and keeps the key."""

    def change(original, self, key):
        module, self._modules[key] = self._modules[key], None
        return module

    patch(nn.ModuleDict, "pop", through(change))


@breaks("mdict-methods")
def clear_keeps_the_first(patch):
    """clear leaves the first module."""

    def change(original, self):
        for key in list(self)[1:]:
            del self[key]

    patch(nn.ModuleDict, "clear", through(change))


@breaks("mdict-methods")
def items_are_the_other_way_round(patch):
    """items gives module and key."""
    patch(nn.ModuleDict, "values", through(lambda original, self: list(original(self))[::-1]))
