"""Each row of :mod:`benchmarks.rows` on each device and in each mode: checked, then timed, counted and weighed.

    pytest --benchmark-only [--rows 'VGG*'] [--device cpu,cuda] [--dtype float32,bfloat16] [--mode eager,inductor]

pytest-benchmark's fixture times; what its statistics lack stands in ``extra_info``.
"""

from __future__ import annotations

import pytest

from benchmarks import rows
from torchclaims.benchmarks import RUN, out_of_memory
from torchclaims.plugin import TARGETS
from torchclaims.targets import COMPILED_SINCE, RELEASE

PRECISIONS = {"float32": rows.FLOAT32, "bfloat16": rows.BFLOAT16}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each row that a device has, on each device, in each mode."""
    targets = metafunc.config.stash[TARGETS]
    asked_for = tuple(PRECISIONS[name] for name in targets.dtypes) if targets.dtypes else None
    metafunc.parametrize(
        ("device", "mode", "row"),
        [
            pytest.param(device.label, mode, str(row), id=f"{device.label}, {mode}, {row}")
            for device in targets.devices
            for mode in targets.modes
            for row in rows.rows(device.name, asked_for)
        ],
    )


@pytest.fixture
def target(request, device):
    """The device that is called ``device``."""
    return next(one for one in request.config.stash[TARGETS].devices if one.label == device)


@pytest.fixture
def clock(request, target, row):
    """The device's clock, which pytest-benchmark's fixture, made after this one, reads."""
    clock = request.config.stash[RUN].instruments(target).clock
    one = rows.Row.named(row)
    group = f"{one.work}, {one.precision}, {target.label}"
    request.node.add_marker(pytest.mark.benchmark(timer=clock, disable_gc=True, group=group))
    return clock


def test_row(request, row, target, mode, clock, benchmark):
    if mode != "eager" and RELEASE < COMPILED_SINCE:
        pytest.skip(f"does not apply: compiled rows need PyTorch {COMPILED_SINCE}; this is {RELEASE}")
    one = rows.Row.named(row)
    benchmark.extra_info |= {"row": row, "kind": one.kind, **vars(one), "mode": mode}
    with out_of_memory():
        subject = one.subject(target.name, mode)
        wrong = subject.check()
        if wrong:
            pytest.fail(f"{row}: {wrong}", pytrace=False)
        if benchmark.disabled:
            benchmark.pedantic(subject.call, setup=subject.setup)
        else:
            # Compiled code does not show its operators: the work is what the network asks for.
            eager = subject if mode == "eager" else one.subject(target.name)
            request.config.stash[RUN].measure(benchmark, subject, eager, target)
