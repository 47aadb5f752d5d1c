"""Faults: small, named ways to break PyTorch in process, each undone afterwards.

A fault is a function in a room's ``faults.py`` that takes a :class:`Patcher` and replaces attributes through it::

    @breaks("bn-running-var-unbiased")
    def running_var_takes_the_biased_variance(patch):
        def broken(original):
            def batch_norm(input, running_mean, running_var, *args, **kwargs):
                ...
            return batch_norm

        patch(torch.nn.functional, "batch_norm", broken)

Because every fault goes through ``patch``, its *control* comes for free: the same attributes are wrapped by functions
that only pass on, and the claim's tests must stay green.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

__all__ = ["Fault", "FaultError", "Patcher", "breaks", "load_faults"]

Make = Callable[[Any], Any]


class FaultError(Exception):
    """A fault that cannot be applied."""


class Patcher:
    """Replaces attributes of PyTorch and puts them back.

    ``patch(owner, name, make)`` sets ``owner.name`` to ``make(original)``. With ``control=True`` the replacement only
    calls the original.
    """

    def __init__(self, *, control: bool = False) -> None:
        self._control = control
        self._undo = ExitStack()
        self.patched_something = False

    def __call__(self, owner: Any, name: str, make: Make) -> None:
        """Sets ``owner.name`` to ``make(original)``.

        Raises:
            FaultError: ``owner`` has no attribute ``name``.
        """
        if not hasattr(owner, name):
            raise FaultError(f"{_name(owner)} has no attribute {name!r}")
        original = getattr(owner, name)
        replacement = _pass_on(original) if self._control else make(original)
        self.patched_something = True
        if isinstance(vars(owner).get(name), staticmethod):
            replacement = staticmethod(replacement)
        self._undo.enter_context(mock.patch.object(owner, name, replacement))

    def restore(self) -> None:
        """Undoes every patch, last first."""
        self._undo.close()


def _pass_on(original: Any) -> Any:
    if isinstance(original, property):
        return property(original.fget, original.fset, original.fdel, original.__doc__)
    if isinstance(original, type):
        return type(original)(original.__name__, (original,), {"__module__": original.__module__})
    if not callable(original):
        return original

    def passing_on(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs)

    return functools.update_wrapper(passing_on, original)


def _name(owner: Any) -> str:
    return getattr(owner, "__qualname__", None) or getattr(owner, "__name__", None) or repr(owner)


class Fault:
    """A named way to break PyTorch, and the claims whose tests must notice."""

    def __init__(self, apply: Callable[[Patcher], None], claims: tuple[str, ...]) -> None:
        self.apply = apply
        self.claims = claims
        self.name = apply.__name__
        self.description = " ".join((apply.__doc__ or self.name.replace("_", " ")).split())

    @contextmanager
    def applied(self, *, control: bool = False) -> Iterator[None]:
        """PyTorch with this fault in place, or with its control.

        Raises:
            FaultError: the fault could not be applied, or patched nothing.
        """
        patcher = Patcher(control=control)
        with ExitStack() as stack:
            stack.callback(patcher.restore)
            try:
                self.apply(patcher)
            except Exception as error:
                raise FaultError(f"could not be applied: {type(error).__name__}: {error}") from error
            if not patcher.patched_something:
                raise FaultError("it patched nothing")
            yield


def breaks(*claims: str) -> Callable[[Callable[[Patcher], None]], Fault]:
    """Declares the decorated function a fault of ``claims``: each claim's tests must turn red under it."""
    return lambda apply: Fault(apply, claims)


def load_faults(path: Path) -> list[Fault]:
    """The faults that a ``faults.py`` defines, in its order.

    Raises:
        FaultError: the file cannot be imported.
    """
    module = import_by_path(path)
    return [value for value in vars(module).values() if isinstance(value, Fault)]


def import_by_path(path: Path) -> ModuleType:
    """Imports a Python file that is on no import path.

    Raises:
        FaultError: the file cannot be read or raises.
    """
    name = "torchclaims_file_" + "_".join(path.with_suffix("").parts[-3:])
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FaultError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise FaultError(f"{path}: {type(error).__name__}: {error}") from error
    return module
