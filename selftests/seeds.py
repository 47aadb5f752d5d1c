"""Each test under many seeds, in one run: how often does the suite ring falsely?

    pytest -p selftests.seeds --seeds 100 --seed 1

runs the body of each test once more for each of the 99 seeds after ``--seed``, unless its first run drew nothing at
random. A test that is expected to fail must fail as expected each time. A failure names the seed; ``pytest TEST
--seed SEED`` repeats it. What a fixture drew or counts stays as it was, so that whole runs see a little more.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest
import torch

from torchclaims import hygiene
from torchclaims.plugin import _seed_of


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--seeds N``."""
    parser.addoption("--seeds", type=int, default=1, metavar="N", help="run each test's body under N seeds")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Runs the body under the seed of the run, then under those that follow it."""
    drawn = _generators(pyfuncitem)
    try:
        return (yield)
    finally:
        if _generators(pyfuncitem) != drawn:
            first = pyfuncitem.config.option.seed
            for seed in range(first + 1, first + pyfuncitem.config.option.seeds):
                _run(pyfuncitem, seed)


def _generators(item: pytest.Function) -> list[str]:
    """The states of all generators that the test may draw from."""
    own = [one for one in item.funcargs.values() if isinstance(one, np.random.Generator)]
    states = [torch.get_rng_state().tolist(), np.random.get_state(), *(one.bit_generator.state for one in own)]
    return [str(one) for one in states]


def _run(item: pytest.Function, seed: int) -> None:
    """The body under ``seed``.

    Raises:
        Exception: what the body raised, unless it is expected to.
        AssertionError: it is expected to raise, and did not.
    """
    expected = item.get_closest_marker("xfail")
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    state = hygiene.Snapshot.take()
    first, item.config.option.seed = item.config.option.seed, seed
    try:
        hygiene.seed_everything(_seed_of(item))
        if "rng" in arguments:
            arguments["rng"] = np.random.default_rng(_seed_of(item))
        item.obj(**arguments)
    except Exception as error:
        if expected is None or not expected.kwargs["raises"].matches(error):
            raise RuntimeError(f"under --seed {seed}") from error
    else:
        assert expected is None, f"deviates no longer under --seed {seed}"
    finally:
        state.restore()
        item.config.option.seed = first
