"""How what test_leaf.py decides could be broken."""

import torch
from torch.autograd.grad_mode import _unsafe_preserve_version_counter as version_kept

from test_inplace.breaking import through, wants_grad
from torchclaims import breaks


@breaks("inplace-leaf-refused")
def leaf_is_written_silently(patch):
    """mul_ takes a leaf that requires grad, as under no_grad."""

    def broken(original, self, *args):
        with torch.set_grad_enabled(torch.is_grad_enabled() and not (self.is_leaf and self.requires_grad)):
            return original(self, *args)

    patch(torch.Tensor, "mul_", through(broken))


@breaks("inplace-leaf-refused")
def leaf_is_refused_too_late(patch):
    """fill_ refuses a leaf when it has been written already."""

    def broken(original, self, value):
        if self.is_leaf and wants_grad(self):
            self.data.fill_(value)
        return original(self, value)

    patch(torch.Tensor, "fill_", through(broken))


@breaks("inplace-leaf-refused")
def refused_leaf_has_counted(patch):
    """copy_ counts a version of the leaf that it refuses."""

    def broken(original, self, source):
        if self.is_leaf and wants_grad(self):
            self.detach().add_(0)
        return original(self, source)

    patch(torch.Tensor, "copy_", through(broken))


@breaks("inplace-leaf-view-refused")
def setitem_writes_a_leaf(patch):
    """Item assignment takes a leaf that requires grad."""

    def broken(original, self, index, value):
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_leaf):
            original(self, index, value)

    patch(torch.Tensor, "__setitem__", through(broken))


@breaks("inplace-leaf-view-refused")
def view_of_leaf_is_cut_off(patch):
    """view() of a leaf is cut off from it."""

    def broken(original, self, *shape):
        return original(self.detach() if self.is_leaf else self, *shape)

    patch(torch.Tensor, "view", through(broken))


@breaks("inplace-leaf-allowed-without-grad-mode")
def write_makes_a_constant(patch):
    """zero_ under no_grad leaves a leaf that no longer requires grad."""

    def broken(original, self):
        written = original(self)
        return written if torch.is_grad_enabled() else written.requires_grad_(False)

    patch(torch.Tensor, "zero_", through(broken))


@breaks("inplace-leaf-allowed-without-grad-mode")
def write_without_grad_mode_is_not_counted(patch):
    """add_ under no_grad counts no version."""

    def broken(original, self, *args):
        if torch.is_grad_enabled():
            return original(self, *args)
        with version_kept(self):
            return original(self, *args)

    patch(torch.Tensor, "add_", through(broken))


@breaks("inplace-leaf-escapes")
def detach_copies(patch):
    """detach() returns a copy."""
    patch(torch.Tensor, "detach", through(lambda original, self: original(self).clone()))


@breaks("inplace-leaf-constant-allowed", "inplace-view-rebase")
def mul_forgets_its_graph(patch):
    """mul_ is not recorded."""

    def broken(original, self, other):
        if self.is_leaf and self.requires_grad:
            return original(self, other)
        with torch.no_grad():
            return original(self, other)

    patch(torch.Tensor, "mul_", through(broken))


@breaks("inplace-leaf-constant-allowed")
def constants_are_written_as_copies(patch):
    """add_ in grad mode sums into a copy of a leaf."""

    def broken(original, self, *args, **kwargs):
        return original(self.clone() if self.is_leaf and torch.is_grad_enabled() else self, *args, **kwargs)

    patch(torch.Tensor, "add_", through(broken))


@breaks("inplace-non-leaf-allowed")
def neg_forgets_its_sign(patch):
    """The gradient of neg_ has the wrong sign: the write is not recorded."""

    def broken(original, self):
        with torch.no_grad():
            return original(self)

    patch(torch.Tensor, "neg_", through(broken))


@breaks("inplace-non-leaf-allowed")
def overwritten_part_keeps_its_gradient(patch):
    """Item assignment of a number leaves the gradient of what it overwrote."""

    def broken(original, self, index, value):
        with torch.set_grad_enabled(isinstance(value, torch.Tensor)):
            original(self, index, value)

    patch(torch.Tensor, "__setitem__", through(broken))


@breaks("inplace-leaf-constant-allowed")
def copy_detaches(patch):
    """copy_ records nothing of what it copies."""

    def broken(original, self, other, *args, **kwargs):
        return original(self, other.detach(), *args, **kwargs)

    patch(torch.Tensor, "copy_", through(broken))
