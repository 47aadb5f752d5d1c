"""How ParameterList and ParameterDict could be broken, and, where they deviate, how they would be mended."""

import torch
from torch import nn

from test_modules.containers.changes import through
from torchclaims import breaks


def _plain(value):
    return torch.is_tensor(value) and not isinstance(value, nn.Parameter)


# --- ParameterList


@breaks("plist-registers", "pdict-registers")
def tensors_are_copied(patch):
    """A tensor that becomes a Parameter is copied."""

    def change(original, self, key, value):
        original(self, key, value.clone() if _plain(value) else value)

    patch(nn.ParameterList, "__setitem__", through(change))
    patch(nn.ParameterDict, "__setitem__", through(change))


@breaks("plist-registers")
def appended_tensors_are_buffers(patch):
    """append keeps a tensor as it is."""

    def change(original, self, value):
        if not _plain(value):
            return original(self, value)
        original(self, 0)
        object.__setattr__(self, str(len(self) - 1), value)
        return self

    patch(nn.ParameterList, "append", through(change))


@breaks("plist-registers")
def parameters_are_wrapped_again(patch):
    """A frozen Parameter is wrapped anew."""

    def change(original, self, index, value):
        frozen = isinstance(value, nn.Parameter) and not value.requires_grad
        original(self, index, nn.Parameter(value.detach()) if frozen else value)

    patch(nn.ParameterList, "__setitem__", through(change))


@breaks("plist-index")
def reversed_slices_are_not(patch):
    """A slice ignores a negative step."""

    def change(original, self, index):
        turned = isinstance(index, slice) and index.step is not None and index.step < 0
        return original(self, slice(None) if turned else index)

    patch(nn.ParameterList, "__getitem__", through(change))


@breaks("plist-index")
def equal_elements_count_once(patch):
    """extend leaves out what is in the list already."""

    def change(original, self, values):
        for value in values:
            if not any(value is one for one in self):
                self.append(value)
        return self

    patch(nn.ParameterList, "extend", through(change))


@breaks("plist-index-range")
def assignment_behind_the_end_appends(patch):
    """Assignment to the index behind the last appends."""

    def change(original, self, index, value):
        if index == len(self):
            self._size += 1
        original(self, index, value)

    patch(nn.ParameterList, "__setitem__", through(change))


@breaks("plist-index-range")
def indices_are_clipped(patch):
    """An index below the first is the first."""

    def change(original, self, index):
        return original(self, index if isinstance(index, slice) or not len(self) else max(index, -len(self)))

    patch(nn.ParameterList, "__getitem__", through(change))


@breaks("plist-extend")
def extend_unpacks_tensors(patch):
    """extend unpacks a tensor."""

    def change(original, self, values):
        return original(self, list(values) if torch.is_tensor(values) else values)

    patch(nn.ParameterList, "extend", through(change))


@breaks("plist-extend")
def extend_returns_a_slice(patch):
    """extend returns a copy of the list."""
    patch(nn.ParameterList, "extend", through(lambda original, self, values: original(self, values)[:]))


@breaks("plist-like-list")
def mended_addition(patch):
    """Mended, where only one use is: a ParameterList of numbers counts and sorts."""
    patch(nn.Module, "__getattr__", through(_list_method))


def _list_method(original, self, name):
    if isinstance(self, nn.ParameterList) and name == "count":
        return lambda value: sum(one == value for one in self)
    return original(self, name)


def _removing(original, self, key, value):
    """Assigns ``value`` after it took out the Parameter that stood there."""
    name = str(key % len(self)) if isinstance(key, int) else key
    if not torch.is_tensor(value):
        self._parameters.pop(name, None)
    original(self, key, value)


@breaks("plist-replaces", "pdict-replaces")
def mended_replacement(patch):
    """Mended: other objects take the place of a Parameter."""
    patch(nn.ParameterList, "__setitem__", through(_removing))
    patch(nn.ParameterDict, "__setitem__", through(_removing))


@breaks("plist-not-callable")
def dictionaries_are_called(patch):
    """Calling a ParameterDict calls forward, which is missing."""
    patch(nn.ParameterDict, "__call__", through(lambda original, self, *args: nn.Module.__call__(self, *args)))


@breaks("plist-not-callable")
def lists_return_their_input(patch):
    """Calling a ParameterList returns its input."""
    patch(nn.ParameterList, "__call__", through(lambda original, self, value: value))


@breaks("plist-print")
def sizes_are_printed_backwards(patch):
    """The printed size runs from the last dimension."""
    patch(nn.ParameterList, "extra_repr", through(lambda original, self: original(self).replace("1x2", "2x1")))


@breaks("plist-print")
def keys_are_printed_sorted(patch):
    """A printed ParameterDict sorts its lines."""
    patch(nn.ParameterDict, "extra_repr", through(lambda original, self: "\n".join(sorted(original(self).split("\n")))))


# --- ParameterDict


@breaks("pdict-registers")
def lists_of_tensors_become_parameters(patch):
    """A list of tensors becomes a ParameterList."""

    def change(original, self, key, value):
        original(self, key, nn.ParameterList(value) if isinstance(value, list) else value)

    patch(nn.ParameterDict, "__setitem__", through(change))


@breaks("pdict-index")
def attributes_are_contained(patch):
    """A ParameterDict contains the names of its attributes."""
    patch(nn.ParameterDict, "__contains__", through(lambda original, self, key: hasattr(self, key)))


@breaks("pdict-index")
def deleted_keys_stay_registered(patch):
    """del takes the key out and leaves the Parameter."""

    def change(original, self, key):
        del self._keys[key]

    patch(nn.ParameterDict, "__delitem__", through(change))


@breaks("pdict-missing-key", "pdict-holds-only-keys")
def mended_reading(patch):
    """Mended: only keys are read."""

    def change(original, self, key):
        if key not in self._keys:
            raise KeyError(key)
        return original(self, key)

    patch(nn.ParameterDict, "__getitem__", through(change))


@breaks("pdict-any-name")
def mended_names(patch):
    """Mended: other objects stand beside the attributes."""
    held = {}

    def put(original, self, key, value):
        if torch.is_tensor(value):
            original(self, key, value)
        else:
            self._keys[key] = None
            held[id(self), key] = value

    def read(original, self, key):
        return held[id(self), key] if (id(self), key) in held else original(self, key)

    patch(nn.ParameterDict, "__setitem__", through(put))
    patch(nn.ParameterDict, "__getitem__", through(read))


@breaks("pdict-key-rules")
def numbers_become_strings(patch):
    """A ParameterDict takes a number for its digits."""

    def change(original, self, key, value):
        original(self, str(key) if isinstance(key, int) else key, value)

    patch(nn.ParameterDict, "__setitem__", through(change))


@breaks("pdict-key-rules")
def dots_become_underscores(patch):
    """A ParameterDict writes an underscore for a dot."""

    def change(original, self, key, value):
        original(self, key.replace(".", "_") if isinstance(key, str) else key, value)

    patch(nn.ParameterDict, "__setitem__", through(change))


def _pairs(values):
    return list(values.items()) if hasattr(values, "items") else list(values)


@breaks("pdict-order")
def mappings_are_sorted(patch):
    """update sorts the keys of every mapping."""

    def change(original, self, values):
        original(self, sorted(_pairs(values), key=lambda pair: pair[0]) if hasattr(values, "items") else values)

    patch(nn.ParameterDict, "update", through(change))


@breaks("pdict-plain-dict-order")
def dictionaries_keep_their_order(patch):
    """update keeps the order of a plain dict."""

    def change(original, self, values):
        original(self, list(values.items()) if type(values) is dict else values)

    patch(nn.ParameterDict, "update", through(change))


@breaks("pdict-update")
def existing_keys_are_kept(patch):
    """update keeps the Parameters of keys that are there."""

    def change(original, self, values):
        original(self, [pair for pair in _pairs(values) if pair[0] not in self])

    patch(nn.ParameterDict, "update", through(change))


@breaks("pdict-update")
def overwritten_keys_move_to_the_end(patch):
    """Assignment to a key that is there moves it to the end."""

    def change(original, self, key, value):
        self._keys.pop(key, None)
        original(self, key, value)

    patch(nn.ParameterDict, "__setitem__", through(change))


@breaks("pdict-update-refused")
def long_elements_are_cut(patch):
    """update takes the first two of longer elements."""

    def change(original, self, values):
        longer = isinstance(values, list) and all(hasattr(one, "__len__") for one in values)
        original(self, [one[:2] for one in values] if longer else values)

    patch(nn.ParameterDict, "update", through(change))


@breaks("pdict-update-refused")
def numbers_are_no_update(patch):
    """update does nothing with what is not iterable."""

    def change(original, self, values):
        return original(self, values) if hasattr(values, "__iter__") else None

    patch(nn.ParameterDict, "update", through(change))


@breaks("pdict-get")
def get_reads_attributes(patch):
    """get also finds attributes of the module."""

    def change(original, self, key, default=None):
        return getattr(self, key, default)

    patch(nn.ParameterDict, "get", through(change))


@breaks("pdict-get")
def get_inserts(patch):
    """get inserts its default."""

    def change(original, self, key, default=None):
        return self.setdefault(key, default)

    patch(nn.ParameterDict, "get", through(change))


@breaks("pdict-setdefault")
def setdefault_overwrites(patch):
    """setdefault overwrites what is there."""

    def change(original, self, key, default=None):
        if default is not None:
            self[key] = default
        return original(self, key, default)

    patch(nn.ParameterDict, "setdefault", through(change))


@breaks("pdict-setdefault")
def setdefault_replaces_what_is_zero(patch):
    """setdefault takes the default for a number of 0."""

    def change(original, self, key, default=None):
        if key in self and isinstance(self[key], int) and not self[key]:
            self[key] = default
        return original(self, key, default)

    patch(nn.ParameterDict, "setdefault", through(change))


@breaks("pdict-setdefault")
def setdefault_returns_the_tensor(patch):
    """setdefault returns the default as it was given."""

    def change(original, self, key, default=None):
        found = original(self, key, default)
        return default if _plain(default) else found

    patch(nn.ParameterDict, "setdefault", through(change))


@breaks("pdict-pop")
def popitem_takes_the_first(patch):
    """popitem takes the first key."""

    def change(original, self):
        key = next(iter(self._keys))
        return key, self.pop(key)

    patch(nn.ParameterDict, "popitem", through(change))


@breaks("pdict-pop")
def clear_leaves_parameters(patch):
    """clear takes the keys out and leaves the Parameters."""
    patch(nn.ParameterDict, "clear", through(lambda original, self: self._keys.clear()))


@breaks("pdict-views")
def values_are_parameters_only(patch):
    """values leaves out what is no Parameter."""
    patch(nn.ParameterDict, "values", through(lambda original, self: iter(self.parameters())))


@breaks("pdict-views")
def reversed_runs_forward(patch):
    """reversed gives the keys in order."""
    patch(nn.ParameterDict, "__reversed__", through(lambda original, self: iter(self)))


@breaks("pdict-copy")
def copies_are_sorted(patch):
    """copy sorts the keys."""
    patch(nn.ParameterDict, "copy", through(lambda original, self: nn.ParameterDict(dict(self.items()))))


@breaks("pdict-copy")
def copy_shares_its_keys(patch):
    """copy shares the table of keys."""

    def change(original, self):
        copied = original(self)
        copied._keys = self._keys
        return copied

    patch(nn.ParameterDict, "copy", through(change))


@breaks("pdict-fromkeys")
def fromkeys_ignores_the_default(patch):
    """fromkeys sets all to None."""
    patch(nn.ParameterDict, "fromkeys", through(lambda original, self, keys, default=None: original(self, keys)))


@breaks("pdict-union")
def left_wins_in_the_union(patch):
    """a | b keeps a's values."""
    patch(nn.ParameterDict, "__or__", through(lambda original, self, other: original(original(self, other), self)))


@breaks("pdict-union")
def union_changes_the_left(patch):
    """a | b is a, updated."""

    def change(original, self, other):
        self.update(other)
        return self

    patch(nn.ParameterDict, "__or__", through(change))
