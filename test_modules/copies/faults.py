"""How what test_copies.py decides could be broken."""

import subprocess

import torch
from torch import nn

from torchclaims import breaks


def _deepcopy(patch, kind, change):
    """``change(original, self, memo)`` is what copy.deepcopy of a ``kind`` does."""
    patch(kind, "__deepcopy__", lambda original: lambda self, memo: change(original, self, memo))


@breaks("copy-deepcopy", "copy-deepcopy-sharing")
def copies_share_parameters(patch):
    """A deep copy shares the memory of the Parameters."""

    def change(original, parameter, memo):
        return memo.setdefault(id(parameter), nn.Parameter(parameter.data, parameter.requires_grad))

    _deepcopy(patch, nn.Parameter, change)


@breaks("copy-deepcopy")
def copies_are_contiguous(patch):
    """A deep copy of a Parameter is contiguous."""

    def change(original, parameter, memo):
        copy = original(parameter, memo)
        copy.data = copy.data.contiguous(memory_format=torch.contiguous_format)
        return copy

    _deepcopy(patch, nn.Parameter, change)


@breaks("copy-deepcopy")
def copies_are_unfrozen(patch):
    """Copies of Parameters always require gradients."""

    def change(original, parameter, memo):
        return original(parameter, memo).requires_grad_()

    _deepcopy(patch, nn.Parameter, change)


@breaks("copy-deepcopy", "copy-pickle")
def copies_are_in_training(patch):
    """Copies of modules are in training mode."""

    def make(original):
        def __setstate__(self, state):
            original(self, {**state, "training": True})

        return __setstate__

    patch(nn.Module, "__setstate__", make)


@breaks("copy-deepcopy-sharing")
def each_place_gets_its_own_copy(patch):
    """A Parameter at two places is copied twice."""

    def change(original, parameter, memo):
        memo.pop(id(parameter), None)
        result = original(parameter, memo)
        memo.pop(id(parameter), None)
        return result

    _deepcopy(patch, nn.Parameter, change)
    patch(nn.Module, "__setstate__", _untie)


def _untie(original):
    def __setstate__(self, state):
        original(self, state)
        for name, parameter in self._parameters.items():
            if parameter is not None:
                self._parameters[name] = nn.Parameter(parameter.detach().clone(), parameter.requires_grad)

    return __setstate__


@breaks("copy-deepcopy-sharing")
def views_are_copied_apart(patch):
    """A deep copy of a tensor has a storage of its own."""

    def change(original, tensor, memo):
        if type(tensor) is not torch.Tensor or tensor.requires_grad:
            return original(tensor, memo)
        return memo.setdefault(id(tensor), tensor.clone())

    _deepcopy(patch, torch.Tensor, change)


@breaks("copy-deepcopy-grad")
def gradients_are_copied_along(patch):
    """A deep copy of a Parameter has its gradient."""

    def change(original, parameter, memo):
        copy = original(parameter, memo)
        copy.grad = None if parameter.grad is None else parameter.grad.clone()
        return copy

    _deepcopy(patch, nn.Parameter, change)


@breaks("copy-deepcopy-grad")
def leaves_lose_their_gradients(patch):
    """A deep copy of a leaf has no gradient."""

    def change(original, tensor, memo):
        copy = original(tensor, memo)
        copy.grad = None
        return copy

    _deepcopy(patch, torch.Tensor, change)


@breaks("copy-deepcopy-hooks")
def hooks_are_left_behind(patch):
    """A copy of a module has no forward hooks."""

    def make(original):
        def __setstate__(self, state):
            original(self, state)
            self._forward_hooks.clear()

        return __setstate__

    patch(nn.Module, "__setstate__", make)


@breaks("copy-deepcopy-hooks")
def options_of_hooks_are_left_behind(patch):
    """A copied forward hook has lost its options."""

    def make(original):
        def __setstate__(self, state):
            original(self, state)
            for number, hook in self._forward_hooks.items():
                self._forward_hooks[number] = lambda *given, hook=hook: hook(*given[:2], given[-1])

        return __setstate__

    patch(nn.Module, "__setstate__", make)


@breaks("copy-deepcopy-hooks")
def hooks_of_parameters_are_copied(patch):
    """A deep copy of a Parameter has its hooks."""

    def change(original, parameter, memo):
        copy = original(parameter, memo)
        for hook in (parameter._backward_hooks or {}).values():
            copy.register_hook(hook)
        return copy

    _deepcopy(patch, nn.Parameter, change)


@breaks("copy-deepcopy-nonleaf")
def histories_are_dropped(patch):
    """A tensor with a history is copied without it."""

    def change(original, tensor, memo):
        return original(tensor if tensor.is_leaf else tensor.detach(), memo)

    _deepcopy(patch, torch.Tensor, change)


@breaks("copy-deepcopy-nonleaf")
def copies_of_detached_tensors_are_zero(patch):
    """A deep copy of a tensor that requires no gradient holds zeros."""

    def change(original, tensor, memo):
        copy = original(tensor, memo)
        return copy.zero_() if not copy.requires_grad else copy

    _deepcopy(patch, torch.Tensor, change)


@breaks("copy-pickle")
def attributes_are_not_pickled(patch):
    """A module comes back without what is no part of its state."""

    def make(original):
        def __setstate__(self, state):
            original(self, {name: value for name, value in state.items() if name != "note"})
            self.__dict__.setdefault("note", None)

        return __setstate__

    patch(nn.Module, "__setstate__", make)


@breaks("copy-pickle")
def non_persistent_buffers_become_persistent(patch):
    """A module comes back with all its buffers persistent."""

    def make(original):
        def __setstate__(self, state):
            original(self, state)
            self._non_persistent_buffers_set = set()

        return __setstate__

    patch(nn.Module, "__setstate__", make)


@breaks("share-memory")
def buffers_are_not_shared(patch):
    """share_memory() moves the parameters only."""

    def make(original):
        def share_memory(self):
            for parameter in self.parameters():
                parameter.share_memory_()
            return self

        return share_memory

    patch(nn.Module, "share_memory", make)


@breaks("share-memory")
def sharing_again_copies(patch):
    """share_memory() of a shared module copies it to other shared memory."""

    def make(original):
        def share_memory(self):
            for one in (*self.parameters(), *self.buffers()):
                one.data = one.data.clone()
            return original(self)

        return share_memory

    patch(nn.Module, "share_memory", make)


@breaks("share-memory-views")
def one_tensor_is_shared(patch):
    """share_memory_() moves the tensor and leaves its views behind."""

    def make(original):
        def share_memory_(self):
            self.data = self.data.clone()
            return original(self)

        return share_memory_

    patch(torch.Tensor, "share_memory_", make)


@breaks("share-memory-no-resize")
def shared_memory_refuses_to_grow(patch):
    """In a child process, too, making shared memory larger is an error."""
    mending = """
import torch
def refuse(*_, **__):
    raise RuntimeError("shared memory cannot be resized")
torch.Tensor.resize_ = torch.UntypedStorage.resize_ = torch.add = refuse
"""

    def make(original):
        def run(command, **options):
            return original([*command[:-1], mending + command[-1]], **options)

        return run

    patch(subprocess, "run", make)
