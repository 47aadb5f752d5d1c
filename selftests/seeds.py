"""Each test under many seeds, in one run: how often does the suite ring falsely?

    pytest -p selftests.seeds --seeds 100 --seed 1

runs the body of each test once more for each of the seeds 1 to 99 places after ``--seed``, unless its first run drew
nothing at random. A failure names the seed; ``pytest TEST --seed SEED`` repeats it. What a room's own fixtures drew
stays as it was, so that a campaign of whole runs still sees a little more.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--seeds N``."""
    parser.addoption("--seeds", type=int, default=1, metavar="N", help="run each test's body under N seeds")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Runs the body under the seed of the run, then under those that follow it."""
    drawn = _generators(pyfuncitem)
    result = yield
    if _generators(pyfuncitem) != drawn:
        first = pyfuncitem.config.option.seed
        for seed in range(first + 1, first + pyfuncitem.config.option.seeds):
            _run(pyfuncitem, seed)
    return result


def _generators(item: pytest.Function) -> list[object]:
    import numpy as np
    import torch

    states: list[object] = [torch.get_rng_state().tolist(), str(np.random.get_state())]
    return [
        *states,
        *(str(one.bit_generator.state) for one in item.funcargs.values() if isinstance(one, np.random.Generator)),
    ]


def _run(item: pytest.Function, seed: int) -> None:
    import numpy as np

    from torchclaims import hygiene
    from torchclaims.plugin import _seed_of

    first, item.config.option.seed = item.config.option.seed, seed
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    state = hygiene.Snapshot.take()
    try:
        hygiene.seed_everything(_seed_of(item))
        if "rng" in arguments:
            arguments["rng"] = np.random.default_rng(_seed_of(item))
        item.obj(**arguments)
    except Exception as error:
        error.args = (f"under --seed {seed}: {error}",)
        raise
    finally:
        state.restore()
        item.config.option.seed = first
