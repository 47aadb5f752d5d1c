"""What a user hands over to be timed, as ``package.module:function``; sent to each process, which has torch only."""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch

ROUNDINGS = 2**10  # of the largest result, by which two builds may differ
SAMPLED = 8  # elements of each result that two builds compare, beside its norm


class Own:
    """A user's function, ready to be called; the interface of a benchmark's subject.

    The function takes no arguments. What it returns decides what is timed: a callable (an ``nn.Module``, say) or a
    tuple of a callable and its arguments is called in its place; anything else means that the function itself is the
    work.

    Raises:
        ImportError, AttributeError: this build's path has no such module, or the module no such function.
        ValueError: it returned a module without the inputs that the module needs.
    """

    setup = None

    def __init__(self, name: str, seed: int) -> None:
        module, _, attribute = name.partition(":")
        function = operator.attrgetter(attribute)(importlib.import_module(module))
        torch.manual_seed(seed)
        made: Any = function()
        if isinstance(made, torch.nn.Module):
            raise ValueError(f"{name} returns a module without its inputs; return (module, input, ...)")
        if isinstance(made, tuple) and made and callable(made[0]):
            work, inputs = made[0], made[1:]
            self.call: Callable[[], object] = lambda: work(*inputs)
        else:
            self.call = made if callable(made) else function
        self.seed = seed

    def check(self) -> None:
        """Nothing: only the user knows what is right; the two builds' results are compared with each other."""

    def digest(self) -> list[float]:
        """The norm and a few elements of each tensor of the result, in the order of their appearance."""
        torch.manual_seed(self.seed)
        tensors = list(_tensors(self.call()))
        eps = max((torch.finfo(one.dtype).eps for one in tensors if one.is_floating_point()), default=0.0)
        self.allowed = ROUNDINGS * eps * max((float(one.double().norm()) for one in tensors), default=0.0)
        return [number for tensor in tensors for number in _numbers(tensor)]

    def allowance(self) -> float:
        """By how much each number of the digest may be off."""
        return self.allowed


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value.detach()
    elif isinstance(value, dict):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _tensors(one)


def _numbers(tensor: torch.Tensor) -> list[float]:
    flat = tensor.cpu().double().flatten() if not tensor.is_complex() else torch.view_as_real(tensor.cpu()).flatten()
    spread = flat[torch.linspace(0, flat.numel() - 1, min(SAMPLED, flat.numel())).long()] if flat.numel() else flat
    return [float(flat.double().norm()), *map(float, spread)]
