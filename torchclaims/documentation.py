"""What the installed documentation says: key terms pinned for each documented object, and which objects have claims.

A *source* of a claim is either a documented object, ``torch.nn.Module.state_dict``, whose docstring is installed, or
a page of the notes or tutorials, ``notes/autograd: ...``, which no installation holds.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterable, Iterator
from typing import Any

from torchclaims.catalogue import Catalogue, Claim


def is_object(source: str) -> bool:
    """Whether ``source`` names an object with a docstring rather than a page."""
    return source.startswith("torch.") and all(part.isidentifier() for part in source.split("."))


def text_of(source: str) -> str | None:
    """The docstring of a documented object with its whitespace collapsed; None if the object is not there."""
    try:
        found = pkgutil.resolve_name(source)
    except (ImportError, AttributeError, ValueError):
        return None
    return " ".join(_docstring(found).split())


def _docstring(found: Any) -> str:
    """An object's own docstring; a class without one has none, whatever it inherits."""
    return (found.__doc__ if inspect.isclass(found) else inspect.getdoc(found)) or ""


def changes(catalogue: Catalogue, claims: Iterable[Claim]) -> Iterator[str]:
    """Notes on documented objects of ``claims`` whose docstring has lost a pinned term, or that are gone."""
    named: dict[str, list[str]] = {}
    for one in claims:
        for source in one.sources:
            named.setdefault(source, []).append(one.id)
    for source, terms in catalogue.documented.items():
        if source not in named:
            continue
        text = text_of(source)
        decides = f"it is a source of {', '.join(named[source][:3])}" + (", ..." if len(named[source]) > 3 else "")
        if text is None:
            yield f"{source} is not there; {decides}"
        elif lost := [term for term in terms if term not in text]:
            yield f"{source} no longer says {', '.join(map(repr, lost))}; {decides}"


def namespaces() -> dict[str, list[str]]:
    """The documented objects of ``torch.nn``, its functions and initialisers, and the schedulers, of this release."""
    import torch
    import torch.overrides
    from torch.optim import lr_scheduler

    def public(module: Any, wanted: Any) -> list[str]:
        members = ((name, getattr(module, name)) for name in sorted(dir(module)) if not name.startswith("_"))
        return [name for name, value in members if wanted(value) and _docstring(value)]

    def of_functional(value: Any) -> bool:
        if inspect.isclass(value) or not callable(value) or value in vars(torch.overrides).values():
            return False
        return _home(value) in ("", "torch", "torch.nn.functional")

    def of_init(value: Any) -> bool:
        return inspect.isfunction(value) and value.__module__ == "torch.nn.init"

    return {
        "torch.nn": public(torch.nn, inspect.isclass),
        "torch.nn.functional": public(torch.nn.functional, of_functional),
        "torch.nn.init": public(torch.nn.init, of_init),
        "torch.optim.lr_scheduler": sorted(lr_scheduler.__all__),
    }


def _home(value: Any) -> str:
    """The module that defines a function; none for one that is built in."""
    return "" if inspect.isbuiltin(value) else getattr(value, "__module__", None) or ""


def coverage(catalogue: Catalogue) -> dict[str, dict[str, int]]:
    """For each documented object of each namespace, how many claims name it or one of its members as their source."""
    counts: dict[str, dict[str, int]] = {}
    for namespace, names in namespaces().items():
        counts[namespace] = dict.fromkeys(names, 0)
        for one in catalogue.claims.values():
            members = (source.removeprefix(f"{namespace}.").split(".")[0] for source in one.sources)
            for name in set(members) & set(names):
                counts[namespace][name] += 1
    return counts
