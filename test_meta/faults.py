"""How the meta device could be broken."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import init

from torchclaims import breaks


def around(change):
    return lambda original: lambda *args, **kwargs: change(original, *args, **kwargs)


def real(tensor):
    return torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu")


@breaks("meta-no-data")
def data_are_made_up(patch):
    """A meta tensor gives zeros for its data."""
    for name in ("cpu", "tolist", "item", "nonzero", "unique"):
        patch(
            torch.Tensor,
            name,
            around(
                lambda original, self, *args, **kwargs: original(real(self) if self.is_meta else self, *args, **kwargs)
            ),
        )


@breaks("meta-prints")
def nothing_is_printed(patch):
    """A meta tensor prints like an empty one."""
    patch(torch.Tensor, "__repr__", around(lambda original, self, **kwargs: "tensor([], device='meta')"))


@breaks("meta-results")
def results_are_contiguous(patch):
    """Views and sums of meta tensors are contiguous and keep no dimension."""

    @around
    def transpose(original, self, *args):
        return original(self, *args).contiguous() if self.is_meta else original(self, *args)

    patch(torch.Tensor, "transpose", transpose)


@breaks("meta-results")
def indices_are_numbers(patch):
    """argmax of a meta tensor has the tensor's dtype."""
    patch(
        torch.Tensor,
        "argmax",
        around(lambda original, self, *a: original(self, *a).to(self.dtype) if self.is_meta else original(self, *a)),
    )


@breaks("meta-layers")
def ceil_mode_is_forgotten(patch):
    """Pooling on the meta device rounds its output size down."""

    @around
    def max_pool2d(original, x, *args, ceil_mode=False, **kwargs):
        return original(x, *args, ceil_mode=ceil_mode and not x.is_meta, **kwargs)

    patch(F, "max_pool2d", max_pool2d)


@breaks("meta-layers")
def linear_drops_its_first_sample(patch):
    """Linear on the meta device is one sample short."""
    patch(F, "linear", around(lambda original, x, *args: original(x[1:] if x.is_meta else x, *args)))


@breaks("meta-context")
def the_context_does_not_reach_tensors(patch):
    """Linear makes real parameters within the context."""

    @around
    def __init__(original, self, *args, device=None, **kwargs):
        original(self, *args, device=device or "cpu", **kwargs)

    patch(nn.Linear, "__init__", __init__)


@breaks("meta-map-location")
def the_map_is_ignored(patch):
    """torch.load ignores map_location."""
    patch(torch, "load", around(lambda original, file, map_location=None, **kwargs: original(file, **kwargs)))


@breaks("meta-module-to")
def moving_makes_data_up(patch):
    """Module.to makes data up for parameters on the meta device."""

    @around
    def to(original, self, device=None, *args, **kwargs):
        return self.to_empty(device=device) if device == "cpu" else original(self, device, *args, **kwargs)

    patch(nn.Module, "to", to)


@breaks("meta-to-empty")
def buffers_stay_behind(patch):
    """to_empty leaves the buffers on the meta device."""

    @around
    def to_empty(original, self, *, device):
        before = {name: one for name, one in self.named_buffers()}
        original(self, device=device)
        for name, one in before.items():
            owner, _, key = name.rpartition(".")
            self.get_submodule(owner)._buffers[key] = one
        return self

    patch(nn.Module, "to_empty", to_empty)


@breaks("meta-to-empty")
def everything_is_trained(patch):
    """to_empty makes parameters that all require a gradient."""
    patch(nn.Module, "to_empty", around(lambda original, self, **kwargs: original(self, **kwargs).requires_grad_(True)))


@breaks("meta-empty-like")
def empty_like_forgets_the_strides(patch):
    """empty_like of a meta tensor is contiguous."""
    patch(torch, "empty_like", around(lambda original, x, **kwargs: original(x, **kwargs).contiguous()))


@breaks("meta-assign")
def assigned_tensors_are_copies(patch):
    """assign=True gives the module copies."""

    @around
    def load_state_dict(original, self, state, strict=True, assign=False):
        state = {name: one.clone() for name, one in state.items()} if assign else state
        return original(self, state, strict, **({"assign": True} if assign else {}))

    patch(nn.Module, "load_state_dict", load_state_dict)


@breaks("meta-optimizer")
def assigned_values_are_twice_as_large(patch):
    """assign=True gives a module twice the values of the state."""

    @around
    def load_state_dict(original, self, state, strict=True, assign=False):
        return original(self, {name: 2 * one for name, one in state.items()}, strict, assign)

    patch(nn.Module, "load_state_dict", load_state_dict)


@breaks("meta-init")
def numbers_are_drawn_for_nothing(patch):
    """sparse_ and orthogonal_ draw numbers for a meta tensor."""
    for name in ("sparse_", "orthogonal_"):
        patch(init, name, around(lambda original, x, **kwargs: (torch.rand(1), original(x, **kwargs))[1]))


@breaks("meta-init")
def dirac_returns_a_view(patch):
    """dirac_ returns a view of a meta tensor."""
    patch(init, "dirac_", around(lambda original, x: original(x).view_as(x)))


@breaks("meta-no-memory")
def a_meta_tensor_has_an_address(patch):
    """A meta tensor says that its data begin somewhere."""
    patch(torch.Tensor, "data_ptr", around(lambda original, self: 64 if self.is_meta else original(self)))
