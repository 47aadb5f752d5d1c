"""The terminal's face of the verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchclaims.catalogue import Catalogue


def print_catalogue(catalogue: Catalogue, chosen: frozenset[str]) -> None:
    for name in chosen:
        print(name)


class Reporter:
    def __init__(self, config: pytest.Config, catalogue: Catalogue) -> None:
        pass
