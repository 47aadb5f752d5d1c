"""How walking a module could be broken."""

import torch
from torch import nn

from torchclaims import breaks


@breaks("modules-depth-first")
def modules_come_level_by_level(patch):
    """modules() yields all children before any grandchild."""

    def broken(original):
        def modules(self, *args, **kwargs):
            found = list(original(self, *args, **kwargs))
            depth = {id(module): name.count(".") + bool(name) for name, module in self.named_modules()}
            return iter(sorted(found, key=lambda module: depth[id(module)]))

        return modules

    patch(nn.Module, "modules", broken)


@breaks("modules-dedup", "named-modules-dedup")
def modules_are_told_by_name(patch):
    """named_modules yields a shared module at each of its places."""

    def broken(original):
        def named_modules(self, memo=None, prefix="", remove_duplicate=True):
            return original(self, memo, prefix, False)

        return named_modules

    patch(nn.Module, "named_modules", broken)


@breaks("modules-dedup")
def equal_modules_count_as_one(patch):
    """modules() compares modules by their printed form."""

    def broken(original):
        def modules(self, *args, **kwargs):
            return iter({repr(module): module for module in original(self, *args, **kwargs)}.values())

        return modules

    patch(nn.Module, "modules", broken)


@breaks("modules-keep-duplicates")
def modules_ignores_remove_duplicate(patch):
    """modules() removes duplicates in any case."""
    patch(nn.Module, "modules", lambda original: lambda self, remove_duplicate=True: original(self))


@breaks("named-modules-dedup")
def last_name_wins(patch):
    """named_modules names a shared module by its last place."""

    def broken(original):
        def named_modules(self, memo=None, prefix="", remove_duplicate=True):
            names = {id(module): name for name, module in original(self, None, prefix, False)}
            for name, module in original(self, memo, prefix, remove_duplicate):
                yield (names[id(module)] if remove_duplicate else name), module

        return named_modules

    patch(nn.Module, "named_modules", broken)


@breaks("named-modules-prefix")
def module_itself_has_no_prefix(patch):
    """named_modules leaves the prefix out for the module itself."""

    def broken(original):
        def named_modules(self, memo=None, prefix="", remove_duplicate=True):
            for name, module in original(self, memo, prefix, remove_duplicate):
                yield ("" if name == prefix and "." not in prefix else name), module

        return named_modules

    patch(nn.Module, "named_modules", broken)


@breaks("named-modules-memo")
def memo_is_copied(patch):
    """named_modules does not add to the memo that it is given."""

    def broken(original):
        def named_modules(self, memo=None, prefix="", remove_duplicate=True):
            return original(self, set(memo) if memo and not prefix else memo, prefix, remove_duplicate)

        return named_modules

    patch(nn.Module, "named_modules", broken)


@breaks("named-modules-memo")
def memo_is_filled_without_removal(patch):
    """named_modules adds to memo with remove_duplicate=False too."""

    def broken(original):
        def named_modules(self, memo=None, prefix="", remove_duplicate=True):
            yield from original(self, memo, prefix, remove_duplicate)
            if memo is not None:
                memo.add(self)

        return named_modules

    patch(nn.Module, "named_modules", broken)


@breaks("children-immediate")
def children_are_sorted(patch):
    """named_children yields the children in the order of their names."""
    patch(nn.Module, "named_children", lambda original: lambda self: iter(sorted(original(self))))


@breaks("children-immediate")
def only_children_expand(patch):
    """children() replaces containers by what they hold."""

    def broken(original):
        def children(self):
            for child in original(self):
                yield from original(child) if type(child) is nn.Sequential else (child,)

        return children

    patch(nn.Module, "children", broken)


@breaks("children-dedup", "apply-shared")
def children_come_at_each_name(patch):
    """named_children yields a child under each of its names."""

    def broken(original):
        def named_children(self):
            return ((name, child) for name, child in self._modules.items() if child is not None)

        return named_children

    patch(nn.Module, "named_children", broken)


@breaks("named-buffers-dedup", "named-prefix-recurse")
def buffers_ignore_remove_duplicate(patch):
    """named_buffers removes duplicates in any case."""

    def broken(original):
        def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
            return original(self, prefix, recurse)

        return named_buffers

    patch(nn.Module, "named_buffers", broken)


@breaks("named-buffers-dedup")
def equal_buffers_count_as_one(patch):
    """named_buffers leaves out a buffer that holds the values of an earlier one."""

    def broken(original):
        def named_buffers(self, *args, **kwargs):
            seen = []
            for name, buffer in original(self, *args, **kwargs):
                if name.endswith(("mean", "var", "tracked")) or not any(torch.equal(buffer, one) for one in seen):
                    seen.append(buffer)
                    yield name, buffer

        return named_buffers

    patch(nn.Module, "named_buffers", broken)


@breaks("buffers-recurse")
def fleeting_buffers_are_left_out(patch):
    """buffers() yields persistent buffers only."""

    def broken(original):
        def buffers(self, recurse=True):
            hidden = {id(getattr(one, name)) for one in self.modules() for name in one._non_persistent_buffers_set}
            return (buffer for buffer in original(self, recurse) if id(buffer) not in hidden)

        return buffers

    patch(nn.Module, "buffers", broken)


@breaks("buffers-recurse")
def buffers_always_recurse(patch):
    """buffers() recurses in any case."""
    patch(nn.Module, "buffers", lambda original: lambda self, recurse=True: original(self))


def _members(change):
    def make(original):
        def members(self, prefix="", recurse=True, remove_duplicate=True):
            return change(original, self, prefix, recurse, remove_duplicate)

        return members

    return make


@breaks("named-prefix-recurse")
def prefix_is_lost_without_recursion(patch):
    """named_parameters ignores prefix with recurse=False."""

    def change(original, self, prefix, recurse, remove_duplicate):
        return original(self, prefix if recurse else "", recurse, remove_duplicate)

    patch(nn.Module, "named_parameters", _members(change))


@breaks("iterators-skip-none")
def empty_children_are_yielded(patch):
    """named_children yields None for an empty place."""
    patch(nn.Module, "named_children", lambda original: lambda self: iter(self._modules.items()))


@breaks("iterators-skip-none")
def empty_buffers_are_yielded(patch):
    """named_buffers yields None for an empty place."""

    def change(original, self, prefix, recurse, remove_duplicate):
        yield from original(self, prefix, recurse, remove_duplicate)
        yield from ((name, None) for name, buffer in self._buffers.items() if buffer is None)

    patch(nn.Module, "named_buffers", _members(change))


@breaks("iterators-are-lazy")
def named_modules_collects(patch):
    """modules() collects the modules at the first step."""
    patch(
        nn.Module,
        "modules",
        lambda original: lambda self, *args, **kwargs: iter(list(original(self, *args, **kwargs))),
    )


@breaks("get-submodule")
def first_name_is_taken_anywhere(patch):
    """get_submodule finds a name at any depth."""

    def broken(original):
        def get_submodule(self, target):
            found = {name.split(".")[-1]: module for name, module in self.named_modules() if name}
            return found.get(target.split(".")[-1]) if target else next(self.children(), self)

        return get_submodule

    patch(nn.Module, "get_submodule", broken)


def _lenient(accept):
    """Makes a getter return None instead of refusing a target that ``accept`` takes."""

    def make(original):
        def get(self, target):
            try:
                return original(self, target)
            except AttributeError:
                if accept(target):
                    return None
                raise

        return get

    return make


@breaks("get-submodule-refuses")
def empty_names_are_skipped(patch):
    """get_submodule passes over empty names in a path."""

    def broken(original):
        def get_submodule(self, target):
            return original(self, ".".join(filter(None, target.split("."))))

        return get_submodule

    patch(nn.Module, "get_submodule", broken)


@breaks("get-submodule-refuses")
def none_is_a_submodule(patch):
    """get_submodule returns None where the child is None."""
    patch(nn.Module, "get_submodule", _lenient(lambda target: target.endswith("empty")))


@breaks("get-parameter")
def parameter_is_detached(patch):
    """get_parameter returns the detached tensor."""
    patch(nn.Module, "get_parameter", lambda original: lambda self, target: original(self, target).detach())


@breaks("get-parameter-refuses")
def missing_parameter_is_none(patch):
    """get_parameter returns None where the Parameter is None."""
    patch(nn.Module, "get_parameter", _lenient(lambda target: target.endswith("no_parameter")))


@breaks("get-parameter-refuses")
def buffers_are_parameters(patch):
    """get_parameter also returns buffers."""
    patch(nn.Module, "get_parameter", _lenient(lambda target: target.endswith("running_mean")))


@breaks("get-buffer")
def fleeting_buffer_is_copied(patch):
    """get_buffer returns a copy of a buffer that is not persistent."""

    def broken(original):
        def get_buffer(self, target):
            found = original(self, target)
            return found.clone() if target.endswith("fleeting") else found

        return get_buffer

    patch(nn.Module, "get_buffer", broken)


@breaks("get-buffer-refuses")
def tensors_are_buffers(patch):
    """get_buffer returns any tensor."""
    patch(nn.Module, "get_buffer", _lenient(lambda target: target.endswith("plain")))


def _setting(change):
    """Replaces set_submodule; ``change`` gets the original without self's place."""

    def make(original):
        def set_submodule(self, target, module, *args, **kwargs):
            return change(original, self, target, module, *args, **kwargs)

        return set_submodule

    return make


@breaks("set-submodule")
def replaced_module_moves_to_the_end(patch):
    """set_submodule takes the old module out before it adds the new one."""

    def change(original, self, target, module, *args, **kwargs):
        parent, _, name = target.rpartition(".")
        self.get_submodule(parent)._modules.pop(name, None)
        return original(self, target, module, *args, **kwargs)

    patch(nn.Module, "set_submodule", _setting(change))


@breaks("set-submodule-creates")
def strict_is_the_default(patch):
    """set_submodule without strict=False only replaces."""

    def change(original, self, target, module, strict=None):
        parent, _, name = target.rpartition(".")
        if strict is not None or hasattr(self.get_submodule(parent), name):
            original(self, target, module, bool(strict))

    patch(nn.Module, "set_submodule", _setting(change))


@breaks("set-submodule-creates")
def strict_adds_before_it_raises(patch):
    """set_submodule with strict=True adds the child and raises then."""

    def change(original, self, target, module, strict=False):
        parent, _, name = target.rpartition(".")
        parent = self.get_submodule(parent)
        if strict and not hasattr(parent, name):
            original(self, target, module)
            raise AttributeError(f"has no attribute `{name}`")
        return original(self, target, module, strict)

    patch(nn.Module, "set_submodule", _setting(change))


@breaks("set-submodule-target")
def empty_target_is_ignored(patch):
    """set_submodule does nothing for an empty target."""

    def change(original, self, target, module, *args, **kwargs):
        return original(self, target, module, *args, **kwargs) if target else None

    patch(nn.Module, "set_submodule", _setting(change))


@breaks("set-submodule-target")
def parents_are_made(patch):
    """set_submodule makes the parents that are missing."""

    def change(original, self, target, module, *args, **kwargs):
        if target.startswith("net_b.nowhere"):
            self.net_b.nowhere = nn.Module()
        return original(self, target, module, *args, **kwargs)

    patch(nn.Module, "set_submodule", _setting(change))


@breaks("set-submodule-kind")
def none_empties_the_place(patch):
    """set_submodule takes None, which empties the place."""

    def change(original, self, target, module, *args, **kwargs):
        if module is None:
            parent, _, name = target.rpartition(".")
            setattr(self.get_submodule(parent), name, None)
        else:
            original(self, target, module, *args, **kwargs)

    patch(nn.Module, "set_submodule", _setting(change))


@breaks("set-submodule-kind")
def plain_attributes_are_replaced(patch):
    """set_submodule replaces a plain attribute of that name."""

    def change(original, self, target, module, *args, **kwargs):
        parent, _, name = target.rpartition(".")
        if isinstance(module, nn.Module):
            vars(self.get_submodule(parent)).pop(name, None)
        original(self, target, module, *args, **kwargs)

    patch(nn.Module, "set_submodule", _setting(change))


@breaks("apply-postorder")
def parents_come_first(patch):
    """apply calls the function with a module before its children."""

    def broken(original):
        def apply(self, fn):
            for module in self.modules():
                fn(module)
            return self

        return apply

    patch(nn.Module, "apply", broken)


@breaks("apply-returns-self")
def apply_returns_the_result(patch):
    """apply returns what the function returned, where that is something."""

    def broken(original):
        def apply(self, fn):
            results = []
            original(self, lambda module: results.append(fn(module)))
            return self if results[-1] is None else results[-1]

        return apply

    patch(nn.Module, "apply", broken)


@breaks("apply-shared")
def apply_visits_each_module_once(patch):
    """apply visits a module once in all."""

    def broken(original):
        def apply(self, fn):
            seen = set()
            return original(self, lambda module: module in seen or (seen.add(module), fn(module)))

        return apply

    patch(nn.Module, "apply", broken)
