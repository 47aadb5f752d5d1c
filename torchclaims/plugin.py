"""The pytest plugin: options and hooks; each delegates at once.

Nothing here imports torch until a session starts, so that ``pytest --help`` and ``pytest --list-claims`` are instant.
"""

from __future__ import annotations

import gc
import os
import random
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from torchclaims import benchmarks, deviations
from torchclaims import catalogue as catalogues
from torchclaims.deviations import Deviation
from torchclaims.gate import options as gate

if TYPE_CHECKING:
    import numpy as np

    from torchclaims.targets import Cell


CATALOGUE = pytest.StashKey[catalogues.Catalogue]()
CHOSEN = pytest.StashKey[frozenset[str]]()
DEVIATIONS = pytest.StashKey[list[Deviation]]()
DEVIATION = pytest.StashKey[Deviation | None]()  # of an item: the entry that says how it fails
TARGETS = pytest.StashKey[Any]()  # of torchclaims.targets.Targets, which imports torch
SNAPSHOT = pytest.StashKey[Any]()

# Options that a line which reproduces one test must repeat.
_TARGET_OPTIONS = ("device", "dtype", "mode", "memory_format", "device_spec")
_REPEATED_OPTIONS = (*_TARGET_OPTIONS, "deviations")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options; README explains them."""
    group = parser.getgroup("torchclaims", "torchclaims: does your PyTorch do what PyTorch says?")
    group.addoption("--claims", metavar="PATTERNS", help="decide only the claims that match, as in 'bn-momentum*,lr-*'")
    group.addoption(
        "--list-claims", action="store_true", help="print the claims (those that --claims selects) and exit"
    )
    group.addoption("--device", metavar="LIST", help="cpu, cuda, cuda:1, mps, all (default: all that are there)")
    group.addoption(
        "--dtype", metavar="LIST", help="float32, float64, bfloat16, float16 (default: what a claim is about)"
    )
    group.addoption("--mode", metavar="LIST", help="eager (the default), aot_eager, inductor")
    group.addoption("--memory-format", metavar="LIST", help="contiguous (the default), channels_last")
    group.addoption(
        "--device-spec", metavar="FILE", help="a Python file that describes a device PyTorch has no name for"
    )
    group.addoption("--deviations", metavar="FILE", help="expected deviations of a backend, beside deviations.toml")
    group.addoption(
        "--seed",
        default="1",
        metavar="N|random",
        help="seed of every random input (default: 1); 'random' draws one and prints it",
    )
    group.addoption("--prove", action="store_true", help="break PyTorch on purpose and demand that the tests notice")
    group.addoption(
        "--search", type=int, metavar="N", help="let Hypothesis look for counter-examples to formulas, N cases each"
    )
    for option, words in gate.OPTIONS.items():
        group.addoption(option, **words)
    benchmarks.add_options(group)
    group.addoption("--claims-json", metavar="FILE", help="write the verdict as JSON, also when interrupted")
    group.addoption("--benchmark-html", metavar="FILE", help="write what the benchmarks measured as a page")


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """``--list-claims`` prints the catalogue and ends the run."""
    if not config.option.list_claims:
        return None
    from torchclaims.report.terminal import print_catalogue

    catalogue, chosen = _load_catalogue(config)
    print_catalogue(catalogue, chosen)
    return 0


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Reads and checks the catalogue and the options; whatever is wrong is one line and exit 4."""
    config.addinivalue_line("markers", "claim(id, ...): the claims that this test decides")
    if config.option.help:
        return
    config.stash[CATALOGUE], config.stash[CHOSEN] = _load_catalogue(config)
    config.stash[DEVIATIONS] = _load_deviations(config)
    config.option.seed = _seed(str(config.option.seed))
    if config.option.search is not None:
        _arrange_search(config)
    benchmarks.arrange(config)
    _arrange_gate(config)
    if not hasattr(config, "workerinput"):
        from torchclaims.report.terminal import Reporter

        reporter = Reporter(config, config.stash[CATALOGUE], config.stash[DEVIATIONS])
        config.pluginmanager.register(reporter, "torchclaims-reporter")
        if config.option.benchmark_html is not None:
            from torchclaims.report import benchmark_html

            benchmark_html.arrange(config)


def _load_catalogue(config: pytest.Config) -> tuple[catalogues.Catalogue, frozenset[str]]:
    try:
        catalogue = catalogues.load(config.rootpath)
        patterns = config.option.claims
        chosen = catalogue.claims if patterns is None else catalogue.matching(patterns.split(","))
    except catalogues.CatalogueError as error:
        raise pytest.UsageError(str(error)) from None
    return catalogue, frozenset(chosen)


def _load_deviations(config: pytest.Config) -> list[Deviation]:
    paths = [path for path in (config.rootpath / "deviations.toml",) if path.exists()]
    if config.option.deviations is not None:
        paths.append(config.invocation_params.dir / config.option.deviations)
    try:
        return [one for path in paths for one in deviations.load(path, config.stash[CATALOGUE])]
    except catalogues.CatalogueError as error:
        raise pytest.UsageError(f"--deviations: {error}" if len(paths) > 1 else str(error)) from None


def _arrange_search(config: pytest.Config) -> None:
    if config.option.search < 1:
        raise pytest.UsageError(f"--search: {config.option.search} cases are none; ask for at least 1")
    if config.option.prove:
        raise pytest.UsageError("--search and --prove are two jobs: ask for one")
    try:
        from hypothesis import HealthCheck, Verbosity, settings
    except ImportError:
        raise pytest.UsageError("--search needs Hypothesis: python -m pip install -e '.[search]'") from None
    # Cases come from the seed, never from what an earlier run stored; how long one takes is no finding.
    settings.register_profile(
        "torchclaims",
        max_examples=config.option.search,
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("torchclaims")
    config.addinivalue_line("python_files", "search*.py")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A search is a job of its own, which runs the files ``search*.py`` and no other."""
    is_test = collection_path.suffix == ".py" and not collection_path.name.startswith("search")
    return True if is_test and config.option.search is not None else None


def _arrange_gate(config: pytest.Config) -> None:
    if config.option.against is None:
        if stray := gate.stray(config.option):
            raise pytest.UsageError(f"{stray} needs --against, which names the build to compare with")
        return
    from torchclaims.gate.plugin import arrange

    arrange(config)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Finds the targets; what was asked for and is absent is one line and exit 4."""
    torch = _import_torch()

    from torchclaims import targets

    config = session.config
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    if not config.getoption("benchmark_only", False):
        # A worker has one thread, and a run without workers decides the same: tensors are too small for more.
        config.add_cleanup(partial(torch.set_num_threads, torch.get_num_threads()))
        torch.set_num_threads(1)
    try:
        asked_for = {name: getattr(config.option, name) for name in _TARGET_OPTIONS}
        config.stash[TARGETS] = targets.resolve(**asked_for, worker=int(worker))
    except targets.TargetError as error:
        raise pytest.UsageError(str(error)) from None


def _import_torch() -> Any:
    with _made_to_stay():
        import torch
    return torch


@contextmanager
def _made_to_stay() -> Iterator[None]:
    """Spares what is made here garbage collection: walking torch's objects costs a tenth of a second each time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collects the items, which stay until the end."""
    with _made_to_stay():
        return (yield)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``cell`` runs once for each cell that its claims are made for."""
    if "cell" not in metafunc.fixturenames:
        return
    config = metafunc.config
    claims = [config.stash[CATALOGUE].claims[name] for name in _claims_of(metafunc.definition)]
    cells = [
        pytest.param(cell, id=str(cell), marks=[pytest.mark.skip(f"does not apply: {reason}")] if reason else [])
        for cell, reason in config.stash[TARGETS].cells(claims)
        if config.option.search is None or cell.mode == "eager"
    ]
    metafunc.parametrize("cell", cells)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps what ``--claims`` selects, marks what this release does not have yet, and sets up ``--prove``."""
    from torchclaims.targets import RELEASE

    catalogue = config.stash[CATALOGUE]
    if config.option.claims is not None:
        kept: list[pytest.Item] = []
        dropped: list[pytest.Item] = []
        for item in items:
            (dropped if config.stash[CHOSEN].isdisjoint(_claims_of(item)) else kept).append(item)
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept
    concerned: dict[str, list[Deviation]] = {}
    for one in config.stash[DEVIATIONS]:
        if one.concerns(RELEASE):
            concerned.setdefault(one.claim, []).append(one)
    later = {name: one.since for name, one in catalogue.claims.items() if one.since > RELEASE}
    for item in items:
        for name in _claims_of(item):
            if name in concerned:
                _expect_deviation(item, concerned[name])
            if name in later:
                item.add_marker(
                    pytest.mark.skip(f"does not apply: {name} is said since PyTorch {later[name]}; this is {RELEASE}")
                )
    if config.option.search is not None:
        import hypothesis

        for function in {item.function for item in items if isinstance(item, pytest.Function)}:
            hypothesis.seed(config.option.seed)(function)
    if config.option.prove:
        from torchclaims.proof import proofs

        try:
            items[:] = proofs(session, catalogue, config.stash[CHOSEN], items)
        except catalogues.CatalogueError as error:
            raise pytest.UsageError(str(error)) from None


def _expect_deviation(item: pytest.Item, concerned: list[Deviation]) -> None:
    try:
        entry = deviations.expected(concerned, item.name, _cell_of(item))
    except catalogues.CatalogueError as error:
        raise pytest.UsageError(str(error)) from None
    if entry is not None:
        item.stash[DEVIATION] = entry
        item.add_marker(entry.mark())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """A proof runs other tests, and reports what became of them."""
    from torchclaims.proof import Proof

    if not isinstance(item, Proof):
        return None
    item.run_and_report()
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Remembers the user's global state and seeds the generators from ``--seed`` and the test's name."""
    from torchclaims import chance, hygiene, tolerance

    item.stash[SNAPSHOT] = hygiene.Snapshot.take()
    hygiene.seed_everything(_seed_of(item))
    cell = _cell_of(item)
    if cell is not None:
        cell.device.seed(_seed_of(item))
    tolerance.SHARES_USED.clear()
    chance.RATES_STATED.clear()
    return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Waits for the device, so that a kernel's late error is the error of the test that launched it."""
    result = yield
    cell = _cell_of(item)
    if cell is not None:
        cell.device.synchronize()
    return result


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Puts the user's global state back; what was left changed is the test's error."""
    try:
        return (yield)
    finally:
        leaks = item.stash[SNAPSHOT].restore()
        if leaks:
            pytest.fail("the test changed global state: " + "; ".join(leaks), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to a report what the verdict needs, and to a failure the claim, the cell and how to reproduce it."""
    from torchclaims import chance, tolerance
    from torchclaims.report.record import annotate

    report = yield
    claims = [item.config.stash[CATALOGUE].claims[name] for name in _claims_of(item)]
    if claims:
        annotate(
            report,
            claims,
            str(_cell_of(item) or "host"),
            call.excinfo,
            item.stash.get(DEVIATION, None),
            tolerance_used=max(tolerance.SHARES_USED, default=None),
            false_alarm_rate=sum(chance.RATES_STATED),
            reproduce=_reproduce(item),
            seed=item.config.option.seed,
        )
    return report


def _claims_of(node: pytest.Item) -> list[str]:
    return [name for mark in node.iter_markers("claim") for name in mark.args]


def _cell_of(item: pytest.Item) -> Cell | None:
    """The cell that a test runs in; None for a test that no device concerns."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("cell") if callspec else None


def _seed(said: str) -> int:
    """What ``--seed`` says; a worker is told the number that was drawn here."""
    if said == "random":
        return random.SystemRandom().randrange(2**31)
    if not said.isdecimal() or int(said) >= 2**32:
        raise pytest.UsageError(f"--seed: {said} is neither 'random' nor a number from 0 to 4294967295")
    return int(said)


def _seed_of(item: pytest.Item) -> int:
    return zlib.crc32(f"{item.config.option.seed} {item.nodeid}".encode())


def _reproduce(item: pytest.Item) -> str:
    options = [
        f" --{name.replace('_', '-')} {value}"
        for name in _REPEATED_OPTIONS
        if (value := getattr(item.config.option, name)) is not None
    ]
    options += [f" --search {item.config.option.search}"] if item.config.option.search is not None else []
    return f"pytest '{item.nodeid}' --seed {item.config.option.seed}" + "".join(options)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A NumPy generator that ``--seed`` and the test's name determine, whatever the order of the tests."""
    import numpy as np

    return np.random.default_rng(_seed_of(request.node))


__all__ = ["rng"]
