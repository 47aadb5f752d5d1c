"""When torch.compile compiles, and what it refuses."""

import pytest
import torch

from test_compile.counting import CountingBackend, backend, graph_breaking
from torchclaims import claim

__all__ = ["backend"]  # a fixture


def double(x):
    return x * 2


@claim("compile-custom-backend")
def test_a_callable_is_a_backend(backend):
    replaced = CountingBackend()

    def tripling(graph, example_inputs):
        replaced(graph, example_inputs)
        return lambda x: (x * 3,)

    x = torch.arange(3.0)
    assert torch.compile(double, backend=tripling)(x).tolist() == [0.0, 3.0, 6.0]
    assert [type(graph).__name__.startswith("GraphModule") for graph in replaced.graphs] == [True]
    assert isinstance(replaced.graphs[0], torch.fx.GraphModule)
    assert [tuple(one.shape) for one in replaced.example_inputs[0]] == [(3,)]
    assert torch.compile(lambda x: x * 2 + 1, backend=backend)(x).tolist() == [1.0, 3.0, 5.0]
    assert backend.count == 1
    assert len(backend.calls()) == 2


@claim("compile-default-falls-back")
def test_what_cannot_be_captured_whole_runs(backend):
    compiled = torch.compile(graph_breaking, backend=backend)
    assert compiled(torch.ones(2)).tolist() == [3.0, 3.0]
    assert compiled(-torch.ones(2)).tolist() == [-3.0, -3.0]
    assert backend.count >= 2


@claim("compile-fullgraph-raises")
@pytest.mark.parametrize("decorates", [False, True], ids=["function", "decorator"])
def test_fullgraph(backend, decorates):
    def compiled(function):
        options = {"backend": backend, "fullgraph": True}
        return torch.compile(**options)(function) if decorates else torch.compile(function, **options)

    assert compiled(double)(torch.ones(1)).item() == 2
    raised = False
    try:
        compiled(graph_breaking)(torch.ones(2))
    except Exception as error:  # its type is no documented name
        raised = type(error).__module__.startswith("torch._dynamo")
    assert raised, "fullgraph=True let a branch on a value pass"


@claim("compile-guards")
def test_like_inputs_use_what_was_compiled(backend):
    compiled = torch.compile(double, backend=backend, dynamic=False)
    for dtype, count in ((torch.float32, 1), (torch.float32, 1), (torch.float64, 2), (torch.float32, 2)):
        out = compiled(torch.ones(3, dtype=dtype))
        assert out.dtype == dtype
        assert out.tolist() == [2.0] * 3
        assert backend.count == count


def counts_by_size(backend, dynamic):
    compiled = torch.compile(double, backend=backend, dynamic=dynamic)
    counts = []
    for size in (3, 4, 5, 6, 3):
        assert compiled(torch.ones(size)).tolist() == [2.0] * size
        counts.append(backend.count)
    return counts


@claim("compile-dynamic-false")
def test_sizes_one_by_one(backend):
    assert counts_by_size(backend, dynamic=False) == [1, 2, 3, 4, 4]


@claim("compile-dynamic-true")
def test_all_sizes_at_once(backend):
    assert counts_by_size(backend, dynamic=True) == [1, 1, 1, 1, 1]


@claim("compile-dynamic-automatic")
def test_the_second_size_stands_for_the_others(backend):
    assert counts_by_size(backend, dynamic=None) == [1, 2, 2, 2, 2]


def compiled_sizes(backend, **limit):
    compiled = torch.compile(double, backend=backend, dynamic=False, **limit)
    for size in range(2, 13):
        assert compiled(torch.ones(size)).tolist() == [2.0] * size
    return backend.count


@claim("compile-falls-back-after-eight")
def test_eight_compilations(backend):
    assert compiled_sizes(backend) == 8


@claim("compile-recompile-limit")
@pytest.mark.parametrize("limit", [1, 3])
def test_as_many_compilations_as_allowed(backend, limit):
    assert compiled_sizes(backend, recompile_limit=limit) == limit


@claim("compile-cache-by-code-object")
def test_copies_of_a_function(backend):
    def copy():
        def triple(x):
            return x * 3

        return torch.compile(triple, backend=backend)

    assert [copy()(torch.ones(1)).item() for _ in range(3)] == [3.0] * 3
    assert backend.count == 1


def assert_refused(call, pattern):
    """``call`` raises what no documented type names, and its text matches."""
    with pytest.raises(Exception, match=pattern):
        call()


@claim("compile-unknown-backend")
def test_unknown_backend():
    assert_refused(lambda: torch.compile(double, backend="no_such")(torch.ones(1)), "Invalid backend: 'no_such'")


@claim("compile-unknown-mode")
def test_unknown_mode():
    assert_refused(lambda: torch.compile(double, mode="no-such"), "Unrecognized mode=no-such")


@claim("compile-unknown-option")
def test_unknown_option():
    assert_refused(lambda: torch.compile(double, options={"no_such": 1}), "Unexpected optimization option no_such")


@claim("compile-mode-or-options")
def test_mode_and_options():
    both = {"mode": "default", "options": {"epilogue_fusion": True}}
    assert_refused(lambda: torch.compile(double, **both), "Either mode or options can be specified")


@claim("compile-disable")
@pytest.mark.parametrize("decorated", [False, True])
def test_disable(backend, decorated):
    options = {"backend": backend, "disable": True}
    compiled = torch.compile(**options)(double) if decorated else torch.compile(double, **options)
    assert compiled(torch.ones(2)).tolist() == [2.0, 2.0]
    assert backend.count == 0


@claim("compile-decorator")
def test_decorator(backend):
    @torch.compile(backend=backend)
    def halve(x):
        return x / 2

    assert halve.__name__ == "halve"
    assert halve(torch.ones(1)).item() == 0.5
    assert backend.count == 1


@claim("compile-mutation")
@pytest.mark.parametrize("name", ["eager", "aot_eager"])
def test_an_input_that_is_changed(backend, name):
    def add_one(x):
        y = x[1:]
        y.add_(1)
        return y * 2

    x = torch.zeros(3)
    before = x.data_ptr()
    assert torch.compile(add_one, backend=name)(x).tolist() == [2.0, 2.0]
    assert x.tolist() == [0.0, 1.0, 1.0]
    assert x.data_ptr() == before


@claim("compile-leaf-in-place")
@pytest.mark.parametrize("name", ["eager", "aot_eager"])
def test_a_leaf_that_is_changed(backend, name):
    leaf = torch.ones(2, requires_grad=True)
    compiled = torch.compile(lambda x: x.add_(1), backend=name)
    assert_refused(lambda: compiled(leaf), "a leaf Variable that requires grad is being used in an in-place operation")
    assert leaf.tolist() == [1.0, 1.0]


@claim("compile-saved-in-place")
@pytest.mark.filterwarnings("ignore:Error detected in")  # tracing runs with anomaly detection, and says where
@pytest.mark.parametrize("name", ["eager", "aot_eager"])
def test_what_backward_needs_is_changed(backend, name):
    def function(x):
        saved = x.exp()
        first = saved.sum()
        saved.add_(1)
        return first * saved.sum()

    leaf = torch.ones(2, requires_grad=True)
    compiled = torch.compile(function, backend=name)
    assert_refused(lambda: compiled(leaf).backward(), "has been modified by an inplace operation")
    assert leaf.grad is None
