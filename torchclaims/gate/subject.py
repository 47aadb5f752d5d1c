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
        numbers = [_numbers(one.double()) for one in tensors]
        self.allowed = ROUNDINGS * eps * max((norm for norm, *_ in numbers), default=0.0)
        return [number for each in numbers for number in each]

    def allowance(self) -> float:
        """By how much each number of the digest may be off."""
        return self.allowed


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in ``value``, on the host, as real numbers."""
    if isinstance(value, torch.Tensor):
        host = value.detach().cpu()
        yield torch.view_as_real(host) if host.is_complex() else host
    elif isinstance(value, dict):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _tensors(one)


def _numbers(tensor: torch.Tensor) -> list[float]:
    flat = tensor.flatten()
    if flat.numel() > SAMPLED:
        flat = flat[torch.linspace(0, flat.numel() - 1, SAMPLED).long()]
    return [float(tensor.norm()), *map(float, flat)]
