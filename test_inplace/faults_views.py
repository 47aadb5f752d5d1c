"""How what test_views.py decides could be broken."""

import torch

from test_inplace.breaking import through
from torchclaims import breaks


@breaks("inplace-view-rebase")
def indexing_copies(patch):
    """Indexing returns a copy."""
    patch(torch.Tensor, "__getitem__", through(lambda original, self, index: original(self, index).clone()))


@breaks("inplace-view-rebase")
def write_to_a_view_forgets_the_base(patch):
    """The gradient of a write to a transposed view does not reach its base."""

    def broken(original, self):
        with torch.no_grad():
            return original(self).detach()

    patch(torch.Tensor, "t", through(broken))


@breaks("inplace-multi-output-view")
def unbind_gives_single_views(patch):
    """unbind makes its results one by one, and lets them be written."""
    patch(torch, "unbind", lambda original: lambda x: tuple(x.select(0, i) for i in range(x.shape[0])))


@breaks("inplace-multi-output-view")
def chunk_copies(patch):
    """chunk returns copies."""
    patch(torch, "chunk", through(lambda original, *args: tuple(part.clone() for part in original(*args))))


@breaks("inplace-no-grad-view")
def view_ignores_grad_mode(patch):
    """view() records its result under no_grad too."""

    def broken(original, self, *shape):
        with torch.enable_grad():
            return original(self, *shape)

    patch(torch.Tensor, "view", through(broken))


@breaks("inplace-no-grad-view")
def view_without_grad_mode_copies(patch):
    """Transposing under no_grad copies."""

    def broken(original, self):
        return original(self) if torch.is_grad_enabled() else original(self).clone()

    patch(torch.Tensor, "t", through(broken))


@breaks("inplace-expanded-refused")
def expand_copies(patch):
    """expand() gives each element memory of its own."""
    patch(torch.Tensor, "expand", through(lambda original, *args: original(*args).contiguous()))


@breaks("inplace-expanded-refused")
def copy_into_shared_elements(patch):
    """copy_ into an expanded tensor writes its first column."""

    def broken(original, self, source):
        if 0 in self.stride():
            return self[:, :1].add_(source[:, :1] - self[:, :1])
        return original(self, source)

    patch(torch.Tensor, "copy_", through(broken))


@breaks("inplace-detach-of-view")
def detaching_a_view_does_nothing(patch):
    """detach_ of a view does nothing, silently."""
    patch(torch.Tensor, "detach_", through(lambda original, self: self if self._is_view() else original(self)))


@breaks("inplace-setitem-records")
def setitem_detaches(patch):
    """Item assignment records no graph."""

    def broken(original, self, index, value):
        original(self, index, value.detach() if isinstance(value, torch.Tensor) else value)

    patch(torch.Tensor, "__setitem__", through(broken))


@breaks("inplace-setitem-records")
def setitem_sorts_indices(patch):
    """Item assignment by a list writes in the order of the sorted list."""

    def broken(original, self, index, value):
        original(self, sorted(index) if isinstance(index, list) else index, value)

    patch(torch.Tensor, "__setitem__", through(broken))


@breaks("inplace-never-grows")
def mul_grows(patch):
    """mul_ takes the shape of the broadcast product."""

    def broken(original, self, other):
        self.data = self.data * other
        return self

    patch(torch.Tensor, "mul_", through(broken))


@breaks("inplace-never-grows")
def add_reduces_the_other(patch):
    """add_ sums an operand that is too large to the shape of the one that it writes."""
    patch(
        torch.Tensor,
        "add_",
        through(lambda original, self, other: original(self, other.sum_to_size(self.shape))),
    )


@breaks("inplace-result-type")
def integers_truncate_the_sum(patch):
    """add_ of a fraction to integers cuts the sum."""

    def broken(original, self, other):
        return original(self, other) if self.is_floating_point() else self.copy_(self + other)

    patch(torch.Tensor, "add_", through(broken))


@breaks("inplace-result-type")
def copy_rounds(patch):
    """copy_ to integers rounds to the nearest."""

    def broken(original, self, source):
        return original(self, source if self.is_floating_point() else source.round())

    patch(torch.Tensor, "copy_", through(broken))


@breaks("inplace-setitem-records")
def setitem_by_mask_detaches(patch):
    """Item assignment by a mask records no graph."""

    def broken(original, self, index, value):
        masked = isinstance(index, torch.Tensor) and index.dtype is torch.bool
        original(self, index, value.detach() if masked and isinstance(value, torch.Tensor) else value)

    patch(torch.Tensor, "__setitem__", through(broken))


@breaks("inplace-never-grows")
def copy_takes_the_first_rows(patch):
    """copy_ of what has more dimensions takes the first rows."""

    def broken(original, self, other, *args, **kwargs):
        while other.dim() > self.dim():
            other = other[0]
        return original(self, other, *args, **kwargs)

    patch(torch.Tensor, "copy_", through(broken))


@breaks("inplace-result-type")
def division_of_integers_rounds_down(patch):
    """div_ of integers by an integer rounds down instead of refusing."""

    def broken(original, self, other, **kwargs):
        if not self.is_floating_point() and isinstance(other, int):
            kwargs["rounding_mode"] = "floor"
        return original(self, other, **kwargs)

    patch(torch.Tensor, "div_", through(broken))
