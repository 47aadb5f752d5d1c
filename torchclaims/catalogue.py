"""The catalogue: every claim of every room, read from ``claims.toml`` and checked against the room's code.

A *room* is a folder ``test_*``, or one within it, or ``benchmarks``, that holds ``claims.toml``. Its ``test_*.py`` name
claims with ``@claim("id")``, its ``faults*.py`` with ``@breaks("id")``, its ``search*.py``, which look further, with
``@claim("id")``. All are read as text, so checking the catalogue runs no code and needs no torch.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ORACLES = ("reference", "relation", "error", "structure", "statistic", "cost")
VERDICTS = ("holds", "half", "refuted", "outdated")
DTYPES = ("float32", "float64", "bfloat16", "float16")
FULL_PRECISION = ("float32", "float64")
MODES = ("eager", "aot_eager", "inductor")
MEMORY_FORMATS = ("contiguous", "channels_last")
# The room of what is said about time, which only --benchmark-only runs; and where rooms are.
BENCHMARKS = Path("benchmarks")
ROOMS = ("test_*", "test_*/*", BENCHMARKS.name)
# The values that a list-valued key may hold, and what it means when a claim leaves the key out.
APPLICABILITY: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "dtypes": (DTYPES, FULL_PRECISION),
    "modes": (MODES, ("eager",)),
    "memory-formats": (MEMORY_FORMATS, ("contiguous",)),
}


class CatalogueError(Exception):
    """A catalogue that cannot be trusted; the message is one line: where, what, what to do."""


@dataclass(frozen=True)
class Claim:
    """One sentence that can be false.

    ``sources`` name documented objects and pages of the notes, ``articles`` passages of tutorials (``"001-26"``: the
    26th passage of article 001, see ``articles.toml``). ``verdict`` says what became of an article's sentence; unless
    it holds, ``truth`` is what the tests assert instead. ``dtypes``, ``modes`` and ``memory_formats`` say for
    which cells the claim is made, ``cells`` how many tests decide it at least in a run that leaves the dtypes to it.
    """

    id: str
    room: Path
    statement: str
    oracle: str
    since: Version
    cells: int
    sources: tuple[str, ...] = ()
    articles: tuple[str, ...] = ()
    verdict: str | None = None
    truth: str | None = None
    dtypes: tuple[str, ...] = FULL_PRECISION
    modes: tuple[str, ...] = ("eager",)
    memory_formats: tuple[str, ...] = ("contiguous",)

    @property
    def family(self) -> str:
        """The first folder of the room's path: ``test_bn``."""
        return self.room.parts[0]

    @property
    def asserted(self) -> str:
        """The sentence that the tests assert: the truth where an article is wrong, else the statement."""
        return self.truth or self.statement


@dataclass(frozen=True)
class Mention:
    """A function that names claims in a decorator: a test (``@claim``) or a fault (``@breaks``)."""

    path: Path
    line: int
    function: str
    claims: tuple[str, ...]


@dataclass(frozen=True)
class Article:
    """A tutorial whose sentences are decided; ``undecided`` maps a passage's number to why it cannot be run."""

    id: str
    title: str
    url: str | None
    passages: int
    undecided: dict[int, str]


@dataclass
class Catalogue:
    """All claims below ``root``, with the tests and faults that name them.

    ``documented`` pins, for each documented object that claims have as their source, terms that its docstring holds.
    """

    root: Path
    claims: dict[str, Claim] = field(default_factory=dict)
    tests: list[Mention] = field(default_factory=list)
    faults: list[Mention] = field(default_factory=list)
    searches: list[Mention] = field(default_factory=list)
    articles: dict[str, Article] = field(default_factory=dict)
    documented: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def claims_of(self, nodeid: str) -> tuple[str, ...]:
        """The claims of a pytest node id such as ``test_bn/test_running.py::test_mean[cpu-float32]``."""
        return self._claims_by_test.get(nodeid.partition("[")[0], ())

    @property
    def _claims_by_test(self) -> dict[str, tuple[str, ...]]:
        if not hasattr(self, "_index"):
            self._index = {
                f"{one.path.as_posix()}::{one.function}": one.claims for one in [*self.tests, *self.searches]
            }
        return self._index

    def matching(self, patterns: Iterable[str]) -> list[str]:
        """Ids that match any of the shell patterns.

        Raises:
            CatalogueError: a pattern matches no claim.
        """
        chosen: dict[str, None] = {}
        for pattern in patterns:
            matches = [name for name in self.claims if fnmatchcase(name, pattern)]
            if not matches:
                raise CatalogueError(f"--claims: no claim matches {pattern!r}{suggest(pattern, self.claims)}")
            chosen.update(dict.fromkeys(matches))
        return list(chosen)

    def decided_passages(self) -> dict[str, list[str]]:
        """For each passage of an article, the claims that decide it."""
        decided: dict[str, list[str]] = {}
        for one in self.claims.values():
            for passage in one.articles:
                decided.setdefault(passage, []).append(one.id)
        return decided


def home() -> Path:
    """The folder of the suite that this package belongs to: a checkout, installed with ``pip install -e``."""
    return Path(__file__).resolve().parent.parent


def load(root: Path) -> Catalogue:
    """Reads and checks every room below ``root``.

    Raises:
        CatalogueError: malformed TOML, an unknown or missing key, a duplicate id, an unknown claim named by a test or
            a fault, a claim without a test or without a fault.
    """
    catalogue = Catalogue(root)
    if (root / "articles.toml").exists():
        catalogue.articles = dict(_articles(root / "articles.toml"))
    if (root / "documentation.toml").exists():
        catalogue.documented = dict(_documented(root / "documentation.toml"))
    for path in _room_files(root):
        for one in _claims(path, root):
            if one.id in catalogue.claims:
                other = catalogue.claims[one.id].room / "claims.toml"
                raise CatalogueError(f"{_place(path, root)}: claim {one.id!r} stands in {other} too; ids are unique")
            _check_passages(one, catalogue, path)
            catalogue.claims[one.id] = one
        for source in sorted(path.parent.glob("test_*.py")):
            catalogue.tests += _mentions(source, root, "claim")
        for source in sorted(path.parent.glob("search*.py")):
            catalogue.searches += _mentions(source, root, "claim")
        for source in sorted(path.parent.glob("faults*.py")):
            catalogue.faults += _mentions(source, root, "breaks")
    _check_coverage(catalogue)
    return catalogue


def _room_files(root: Path) -> list[Path]:
    return sorted(path for room in ROOMS for path in root.glob(f"{room}/claims.toml"))


def _place(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def read_toml(path: Path) -> dict[str, Any]:
    """The document in ``path``.

    Raises:
        CatalogueError: it cannot be read, or is no TOML.
    """
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return document
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogueError(f"{path}: {error}") from None


def _claims(path: Path, root: Path) -> Iterator[Claim]:
    required = {"statement", "oracle", "since", "cells"}
    optional = {"sources", "articles", "verdict", "truth", *APPLICABILITY}
    for name, entry in read_toml(path).items():
        where = f"{_place(path, root)}: claim {name!r}"
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name):
            raise CatalogueError(f"{where}: an id is kebab case, family first, as in 'bn-momentum-one'")
        if not isinstance(entry, dict):
            raise CatalogueError(f"{where}: write it as a table, [{name}]")
        for key in entry:
            if key not in required | optional:
                raise CatalogueError(f"{where}: unknown key {key!r}{suggest(key, required | optional)}")
        for key in sorted(required - entry.keys()):
            raise CatalogueError(f"{where}: key {key!r} is missing")
        yield Claim(
            id=name,
            room=path.parent.relative_to(root),
            statement=_text(entry, "statement", where),
            oracle=_one_of(entry["oracle"], ORACLES, f"{where}: oracle"),
            since=_version(entry["since"], where),
            sources=_strings(entry, "sources", where),
            articles=_strings(entry, "articles", where),
            truth=_text(entry, "truth", where) if "truth" in entry else None,
            verdict=_verdict(entry, where),
            cells=_count(entry, where),
            **{key.replace("-", "_"): _subset(entry, key, where) for key in APPLICABILITY},
        )


def _text(entry: dict[str, Any], key: str, where: str) -> str:
    value = entry[key]
    if not isinstance(value, str) or not value.strip():
        raise CatalogueError(f"{where}: {key!r} must be a sentence")
    return " ".join(value.split())


def _count(entry: dict[str, Any], where: str) -> int:
    value = entry["cells"]
    if type(value) is not int or value < 1:
        raise CatalogueError(f"{where}: 'cells' must be the least number of tests that decide it; it is {value!r}")
    return value


def _strings(entry: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = entry.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise CatalogueError(f"{where}: {key!r} must be a list of strings")
    return tuple(value)


def _one_of(value: object, allowed: Iterable[str], where: str) -> str:
    allowed = list(allowed)
    if not isinstance(value, str) or value not in allowed:
        raise CatalogueError(f"{where} must be one of {', '.join(allowed)}; it is {value!r}")
    return value


def _version(value: object, where: str) -> Version:
    try:
        return Version(str(value))
    except InvalidVersion:
        raise CatalogueError(
            f"{where}: 'since' must be a release of PyTorch such as \"2.1\"; it is {value!r}"
        ) from None


def _verdict(entry: dict[str, Any], where: str) -> str | None:
    if not entry.get("sources") and not entry.get("articles"):
        raise CatalogueError(f"{where}: name where it is said, in 'sources' or 'articles'")
    if ("verdict" in entry) != bool(entry.get("articles")):
        raise CatalogueError(f"{where}: 'verdict' stands with 'articles', and only there")
    if "verdict" not in entry:
        if "truth" in entry:
            raise CatalogueError(f"{where}: 'truth' stands with the verdict on an article's sentence")
        return None
    verdict = _one_of(entry["verdict"], VERDICTS, f"{where}: verdict")
    if ("truth" in entry) != (verdict != "holds"):
        raise CatalogueError(f"{where}: 'truth' says what is so where the sentence does not hold, and only there")
    return verdict


def _subset(entry: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    allowed, default = APPLICABILITY[key]
    value = entry.get(key, list(default))
    if value == "all":
        return allowed
    if not isinstance(value, list) or not value:
        raise CatalogueError(f'{where}: {key!r} must be "all" or a list of {", ".join(allowed)}')
    return tuple(_one_of(item, allowed, f"{where}: {key}") for item in value)


def _articles(path: Path) -> Iterator[tuple[str, Article]]:
    for name, entry in read_toml(path).items():
        try:
            undecided = {int(number): str(reason) for number, reason in entry.get("undecided", {}).items()}
            article = Article(name, entry["title"], entry.get("url"), int(entry["passages"]), undecided)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CatalogueError(f"{path.name}: article {name!r}: title and passages are needed ({error})") from None
        yield name, article


def _documented(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    document = read_toml(path)
    for name in document:
        terms = _strings(document, name, path.name)
        if not terms:
            raise CatalogueError(f"{path.name}: {name}: pin two or three terms of its docstring")
        yield name, terms


def _check_passages(one: Claim, catalogue: Catalogue, path: Path) -> None:
    for passage in one.articles:
        article_id, _, number = passage.partition("-")
        article = catalogue.articles.get(article_id)
        if article is None or not number.isdigit() or not 1 <= int(number) <= article.passages:
            raise CatalogueError(
                f"{_place(path, catalogue.root)}: claim {one.id!r}: articles.toml has no passage {passage!r}"
            )


def _mentions(path: Path, root: Path, decorator: str) -> list[Mention]:
    """The functions of ``path`` that a ``decorator`` at the margin, with its claims written out, stands above.

    Found by pattern: parsing some hundred files would cost as much as importing torch.
    """
    text = path.read_text(encoding="utf-8")
    found = []
    for mark in re.finditer(rf"^@{decorator}\(([^()]*)\)$", text, re.MULTILINE):
        function = re.compile(r"^def (\w+)\(", re.MULTILINE).search(text, mark.end())
        claims = re.findall(r"""["']([^"']*)["']""", mark[1])
        if function and claims:
            line = text.count("\n", 0, function.start()) + 1
            found.append(Mention(path.relative_to(root), line, function[1], tuple(claims)))
    return found


def _check_coverage(catalogue: Catalogue) -> None:
    for mention in [*catalogue.tests, *catalogue.searches, *catalogue.faults]:
        for name in mention.claims:
            if name not in catalogue.claims:
                raise CatalogueError(
                    f"{mention.path.as_posix()}:{mention.line}: {mention.function} names the unknown claim {name!r}"
                    f"{suggest(name, catalogue.claims)}"
                )
    for mentions, what in (
        (catalogue.tests, "no test decides it: mark one with @claim"),
        (catalogue.faults, "no fault breaks it: add one to faults.py with @breaks"),
    ):
        named = {name for mention in mentions for name in mention.claims}
        for one in catalogue.claims.values():
            if one.id not in named:
                raise CatalogueError(f"{one.room.as_posix()}/claims.toml: claim {one.id!r}: {what}")


def suggest(word: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown ``word``: what may have been meant."""
    close = difflib.get_close_matches(word.strip("*?"), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else "; `pytest --list-claims` prints what there is"
