"""How ModuleDict could be broken."""

from torch import nn

from test_modules.containers.changes import through
from torchclaims import breaks


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
