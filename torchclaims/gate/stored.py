"""Runs on disk: the JSON that the gate writes, and reads again as a baseline."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torchclaims.gate import CANDIDATE, SIDES, GateError
from torchclaims.gate.life import Life, Result
from torchclaims.gate.pairs import Pair

SCHEMA = "torchclaims-gate-1"


@dataclass
class Stored:
    """The processes of an earlier run's candidate, each used once."""

    build: dict[str, Any]
    settings: dict[str, Any]
    started: str
    lives: Iterator[Life] = field(repr=False)

    def next(self) -> Life | None:
        """The next process, in the order in which they were run; None when there are no more."""
        return next(self.lives, None)


def to_json(pair: Pair) -> dict[str, Any]:
    """A pair as plain values."""
    lives = {side: _life_to_json(life) for side, life in pair.lives.items()}
    return {"first": pair.first, "seconds": pair.seconds, **lives}


def _life_to_json(life: Life) -> dict[str, Any]:
    return {
        "void": life.void,
        "row": life.row,
        "visits": life.visits,
        "results": {row: asdict(result) for row, result in life.results.items()},
        "absent": life.absent,
        "errors": life.errors,
    }


def dump(document: dict[str, Any], indent: int | None = 1) -> str:
    """``document`` as JSON, which has no word for what is infinite or no number: null."""
    return json.dumps(_finite(document), indent=indent, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def pairs(document: dict[str, Any]) -> list[Pair]:
    """The pairs of an earlier run, both sides of each."""
    return [Pair(one["first"], {side: _life(one[side]) for side in SIDES}, one["seconds"]) for one in document["pairs"]]


def load(path: Path) -> Stored:
    """What an earlier run left.

    Raises:
        GateError: ``path`` cannot be read, or is not what this release writes.
    """
    document = read(path)
    lives = [_life(pair[CANDIDATE]) for pair in document["pairs"] if pair[CANDIDATE]["void"] is None]
    return Stored(document["builds"][CANDIDATE], document["settings"], document["started"], iter(lives))


def read(path: Path) -> dict[str, Any]:
    """The JSON of an earlier run, once the schema has found nothing wrong with it.

    Raises:
        GateError: ``path`` cannot be read, or is not what this release writes.
    """
    import jsonschema

    schema = json.loads((Path(__file__).parent / "gate.schema.json").read_text(encoding="utf-8"))
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.validate(document, schema)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise GateError(f"--against: cannot read {path}: {error}; name a file that --gate-json wrote") from None
    except jsonschema.ValidationError as error:
        where = "/".join(map(str, error.absolute_path)) or "the document"
        raise GateError(
            f"--against: {path} is not what --gate-json of this release writes: {where}: {error.message[:100]}"
        ) from None
    return document


def _life(stored: dict[str, Any]) -> Life:
    results = {
        row: Result(one["wrong"], [math.nan if x is None else float(x) for x in one["digest"]], one["allowed"] or 0.0)
        for row, one in stored["results"].items()
    }
    return Life(**(stored | {"results": results}))
