"""How ModuleList could be broken, and, where it deviates, how it would be mended."""

from collections import OrderedDict

from torch import nn

from test_modules.containers.changes import renamed, through
from torchclaims import breaks


@breaks("mlist-registers")
def list_starts_at_one(patch):
    """ModuleList numbers its modules from one where they come from an iterator."""

    def change(original, self, modules=None):
        once = hasattr(modules, "__next__")
        original(self, modules)
        if once:
            renamed(self, [str(number) for number in range(1, len(self) + 1)])

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
        renamed(self, names)

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
