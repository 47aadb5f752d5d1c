"""How what test_identity.py decides could be broken."""

import torch
from torch.autograd.grad_mode import _unsafe_preserve_version_counter as version_kept
from torch.nn import functional as F

from test_inplace.breaking import through, wants_grad
from torchclaims import breaks


@breaks("inplace-keeps-memory", "inplace-version-counter")
def mul_moves_its_operand(patch):
    """mul_ swaps in new memory instead of writing into the old."""

    def broken(original, self, other):
        if wants_grad(self):
            return original(self, other)
        self.data = self.data * other
        return self

    patch(torch.Tensor, "mul_", through(broken))


@breaks("inplace-keeps-memory", "inplace-underscore-suffix")
def clamp_returns_a_copy(patch):
    """clamp_ writes in place, and returns a copy of its operand."""
    patch(torch.Tensor, "clamp_", through(lambda original, *args, **kwargs: original(*args, **kwargs).clone()))


@breaks("inplace-underscore-suffix")
def addcmul_forgets_value(patch):
    """addcmul_ ignores value=."""
    patch(torch.Tensor, "addcmul_", through(lambda original, x, a, b, value=1: original(x, a, b)))


@breaks("inplace-underscore-suffix")
def index_add_keeps_the_last(patch):
    """index_add_ keeps, of indices that occur twice, only the last."""

    def broken(original, self, dim, index, source, *, alpha=1):
        return self.index_copy_(dim, index, self.index_select(dim, index) + alpha * source)

    patch(torch.Tensor, "index_add_", through(broken))


@breaks("inplace-underscore-suffix")
def add_and_its_twin_forget_alpha(patch):
    """add and add_ ignore alpha: equal to each other, and both wrong."""
    for name in ("add", "add_"):
        patch(torch.Tensor, name, through(lambda original, self, other, alpha=1: original(self, other)))


@breaks("inplace-underscore-suffix")
def transpose_swaps_a_copy(patch):
    """transpose_ lays the result out anew, in other memory."""

    def broken(original, self, *dims):
        self.data = self.data.transpose(*dims).contiguous()
        return self

    patch(torch.Tensor, "transpose_", through(broken))


@breaks("inplace-scatter-underscore")
def scatter_is_in_place(patch):
    """scatter writes into its operand, as the article says."""
    patch(torch.Tensor, "scatter", lambda original: torch.Tensor.scatter_)


@breaks("inplace-scatter-underscore")
def scatter_keeps_the_first_source(patch):
    """scatter_ writes the sources in reverse order."""

    def broken(original, self, dim, index, source):
        return original(self, dim, index, source.flip(dim) if isinstance(source, torch.Tensor) else source)

    patch(torch.Tensor, "scatter_", through(broken))


@breaks("inplace-augmented-assignment")
def isub_binds_anew(patch):
    """x -= y makes a new tensor."""
    patch(torch.Tensor, "__isub__", lambda original: lambda self, other: self - other)


@breaks("inplace-augmented-assignment")
def ifloordiv_truncates(patch):
    """x //= y rounds towards zero."""
    patch(torch.Tensor, "__ifloordiv__", lambda _: lambda self, other: self.div_(other, rounding_mode="trunc"))


@breaks("inplace-augmented-assignment")
def sum_is_written_into_its_operand(patch):
    """x + x is taken in place."""
    patch(torch.Tensor, "__add__", lambda original: torch.Tensor.add_)


@breaks("inplace-without-underscore", "inplace-version-counter")
def setitem_is_not_counted(patch):
    """Item assignment counts no version."""

    def broken(original, self, index, value):
        with version_kept(self):
            original(self, index, value)

    patch(torch.Tensor, "__setitem__", through(broken))


@breaks("inplace-without-underscore")
def out_gets_new_memory(patch):
    """add hands new memory to out= instead of writing into it."""

    def broken(original, *args, out=None, **kwargs):
        if out is None:
            return original(*args, **kwargs)
        return out.set_(original(*args, **kwargs))

    patch(torch, "add", through(broken))


@breaks("inplace-without-underscore")
def threshold_forgets_inplace(patch):
    """threshold ignores inplace=True."""
    patch(
        F,
        "threshold",
        through(lambda original, x, threshold, value, inplace=False: original(x, threshold, value)),
    )


@breaks("inplace-transcript-add")
def add_writes_its_operand(patch):
    """add leaves the sum in its operand as well."""
    patch(torch.Tensor, "add", through(lambda original, self, other: self.add_(other).clone()))


@breaks("inplace-transcript-add-in-place")
def add_writes_the_other_operand(patch):
    """add_ leaves the sum in both operands."""

    def broken(original, self, other):
        original(self, other)
        other.copy_(self)
        return self

    patch(torch.Tensor, "add_", through(broken))


@breaks("inplace-transcript-rand")
def rand_does_not_advance(patch):
    """rand leaves the generator where it was, so that it repeats itself."""

    def broken(original, *args, **kwargs):
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            return original(*args, **kwargs)

    patch(torch, "rand", through(broken))


@breaks("inplace-transcript-rand")
def seed_is_ignored(patch):
    """manual_seed leaves the generator where it is."""
    patch(torch, "manual_seed", lambda original: lambda seed: torch.default_generator)


@breaks("inplace-version-counter", "inplace-saved-message")
def add_is_not_counted_again(patch):
    """add_ counts a version only of a tensor that has none."""

    def broken(original, self, *args, **kwargs):
        if self._version == 0:
            return original(self, *args, **kwargs)
        with version_kept(self):
            return original(self, *args, **kwargs)

    patch(torch.Tensor, "add_", through(broken))


@breaks("inplace-version-counter")
def clone_counts(patch):
    """Copying a tensor counts a version of it."""
    patch(torch.Tensor, "clone", through(lambda original, self, **kwargs: original(self.add_(0), **kwargs)))


@breaks("inplace-views-share-version", "inplace-detach-noticed", "inplace-leaf-escapes")
def detach_counts_for_itself(patch):
    """detach() gives its result a count of its own, as .data has."""
    patch(torch.Tensor, "detach", lambda original: lambda self: self.data)


@breaks("inplace-views-share-version")
def views_count_for_themselves(patch):
    """Indexing gives a view of a constant a count of its own."""

    def broken(original, self, index):
        return original(self if self.requires_grad else self.data, index)

    patch(torch.Tensor, "__getitem__", through(broken))


@breaks("inplace-views-share-version", "inplace-data-unnoticed", "inplace-leaf-escapes")
def data_shares_the_count(patch):
    """.data shares its owner's count, as detach() does."""
    patch(
        torch.Tensor,
        "data",
        lambda original: property(lambda self: self.detach(), lambda s, v: original.__set__(s, v)),
    )


@breaks("inplace-version-counter")
def copy_without_grad_mode_is_not_counted(patch):
    """copy_ under no_grad counts no version."""

    def broken(original, self, *args, **kwargs):
        if torch.is_grad_enabled():
            return original(self, *args, **kwargs)
        original(self.data, *args, **kwargs)
        return self

    patch(torch.Tensor, "copy_", through(broken))
