"""torch.compiler: what steers the compiler from outside and from within."""

import pytest
import torch

from test_compile.counting import backend
from torchclaims import claim

__all__ = ["backend"]  # a fixture


def increment(x):
    return x + 1


@claim("compiler-is-compiling")
def test_is_compiling(backend):
    def function(x):
        return x + 1 if torch.compiler.is_compiling() else x - 1

    assert torch.compile(function, backend=backend)(torch.zeros(1)).item() == 1
    assert function(torch.zeros(1)).item() == -1
    assert torch.compiler.is_compiling() is False


def inner(x):
    return torch.cos(helper(x))


def helper(x):
    return torch.sin(x)


def around(function):
    return lambda x: torch.tanh(function(torch.exp(x)))


@claim("compiler-disable")
def test_what_is_disabled_runs_as_it_is(backend):
    compiled = torch.compile(around(torch.compiler.disable(inner)), backend=backend)
    x = torch.tensor([0.5])
    assert torch.equal(compiled(x), around(inner)(x))
    assert backend.calls() == [torch.exp, torch.tanh]


@claim("compiler-disable-not-recursive")
@pytest.mark.parametrize("decorates", [False, True], ids=["function", "decorator"])
def test_what_a_disabled_function_calls(backend, decorates):
    disable = torch.compiler.disable
    disabled = disable(recursive=False)(inner) if decorates else disable(inner, recursive=False)
    compiled = torch.compile(around(disabled), backend=backend)
    x = torch.tensor([0.5])
    assert torch.equal(compiled(x), around(inner)(x))
    assert backend.calls() == [torch.exp, torch.sin, torch.tanh]


@claim("compiler-reset")
def test_reset(backend):
    compiled = torch.compile(increment, backend=backend)
    for count in (1, 1):
        compiled(torch.ones(1))
        assert backend.count == count
    assert torch.compiler.reset() is None
    compiled(torch.ones(1))
    assert backend.count == 2


@claim("compiler-list-backends")
def test_backends_by_name():
    names = torch.compiler.list_backends()
    assert "inductor" in names
    assert set(torch.compiler.list_backends(exclude_tags=None)) > set(names)


@claim("compiler-assume-constant")
def test_a_constant_result(backend):
    calls = []

    @torch.compiler.assume_constant_result
    def number():
        calls.append(1)
        return len(calls)

    compiled = torch.compile(lambda x: x + number(), backend=backend)
    assert [compiled(torch.zeros(1)).item() for _ in range(3)] == [1.0, 1.0, 1.0]
    assert len(calls) == 1


@claim("compiler-allow-in-graph")
def test_one_call_in_the_graph(backend):
    def two_steps(x):
        return torch.cos(torch.sin(x))

    compiled = torch.compile(lambda x: two_steps(x) + 1, backend=backend)
    x = torch.tensor([0.5])
    plain = compiled(x)
    assert torch.sin in backend.calls()
    backend.graphs.clear()
    torch.compiler.allow_in_graph(two_steps)
    torch.compiler.reset()
    assert torch.equal(compiled(x), plain)
    assert two_steps in backend.calls()
    assert torch.sin not in backend.calls()


@claim("compiler-force-eager")
def test_force_eager(backend):
    compiled = torch.compile(increment, backend=backend)
    with torch.compiler.set_stance("force_eager"):
        assert compiled(torch.ones(1)).item() == 2
        assert backend.count == 0
    compiled(torch.ones(1))
    assert backend.count == 1


@claim("compiler-eager-on-recompile")
def test_eager_on_recompile(backend):
    compiled = torch.compile(increment, backend=lambda graph, inputs: backend(graph, inputs) and (lambda x: (x + 10,)))
    double = torch.ones(1, dtype=torch.float64)
    assert compiled(torch.ones(1)).item() == 11
    with torch.compiler.set_stance("eager_on_recompile"):
        assert compiled(torch.ones(1)).item() == 11
        assert compiled(double).item() == 2
    assert backend.count == 1
    assert compiled(double).item() == 11
    assert backend.count == 2


@claim("compiler-fail-on-recompile")
def test_fail_on_recompile(backend):
    compiled = torch.compile(increment, backend=backend)
    compiled(torch.ones(1))
    with torch.compiler.set_stance("fail_on_recompile"):
        assert compiled(torch.ones(1)).item() == 2
        with pytest.raises(RuntimeError, match=r"Detected recompile when .* stance is 'fail_on_recompile'"):
            compiled(torch.ones(1, dtype=torch.float64))
    assert backend.count == 1
