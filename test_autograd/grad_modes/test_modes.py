"""no_grad, enable_grad, set_grad_enabled and inference_mode: what they record, where, and for how long."""

import contextlib
import threading
from functools import partial

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from torchclaims import claim
from torchclaims.tolerance import assert_same

NEW = {
    "mul": lambda x: x * 2,
    "clone": lambda x: x.clone(),
    "sum": lambda x: x.sum(),
    "indexed by a list": lambda x: x[[0, 1]],
    "written in place": lambda x: x.clone().mul_(3),
    "linear": lambda x: nn.functional.linear(x, x[None].detach()),
    "double": lambda x: x.double(),
    "stack": lambda x: torch.stack([x, x]),
}
VIEWS = {
    "x[:1]": lambda x: x[:1],
    "x[0]": lambda x: x[0],
    "view": lambda x: x.view(2, 1),
    "t": lambda x: x.t(),
    "unsqueeze": lambda x: x.unsqueeze(0),
    "expand": lambda x: x.expand(3, 2),
    "narrow": lambda x: x.narrow(0, 1, 1),
    "split": lambda x: x.split(1)[1],
    "unbind": lambda x: x.unbind()[0],
    "broadcast_tensors": lambda x: torch.broadcast_tensors(x, torch.zeros(3, 2, device=x.device))[0],
}
OFF = {"no_grad": torch.no_grad, "set_grad_enabled": lambda: torch.set_grad_enabled(False)}
MODES = {**OFF, "inference_mode": torch.inference_mode}
BY_MODE = pytest.mark.parametrize("mode", MODES)


def recorded(x):
    """Whether an operation on ``x``, which requires grad, is recorded here."""
    y = x * 2
    return y.requires_grad and y.grad_fn is not None


@pytest.fixture
def leaf(cell):
    return cell.tensor([1.0, 2.0], requires_grad=True)


@claim("nograd-results")
@pytest.mark.parametrize("name", NEW)
@BY_MODE
def test_new_results(leaf, mode, name):
    with MODES[mode]():
        y = NEW[name](leaf)
        assert (y.requires_grad, y.grad_fn, y.is_leaf) == (False, None, True)
        assert not torch.is_grad_enabled()
    assert (y.requires_grad, leaf.requires_grad) == (False, True)
    assert recorded(leaf)


@claim("nograd-results")
def test_constant_in_the_graph_afterwards(cell, leaf):
    with torch.no_grad():
        factor = leaf * 3
    (leaf * factor).sum().backward()
    assert_same(leaf.grad, cell.tensor([3.0, 6.0]), what="gradient beside a factor made under no_grad")


@claim("nograd-view-results")
@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("mode", OFF)
def test_views(leaf, mode, name):
    with OFF[mode]():
        y = VIEWS[name](leaf)
        assert not y.requires_grad, f"{name} of a tensor that requires grad requires grad under {mode}"


@claim("inference-view-results")
@pytest.mark.parametrize("name", VIEWS)
def test_views_in_inference_mode(leaf, name):
    with torch.inference_mode():
        y = VIEWS[name](leaf)
        assert not y.requires_grad, f"{name} of a tensor that requires grad requires grad in inference mode"


@claim("nograd-view-gradient")
def test_gradient_of_a_leaf_that_is_a_view(leaf):
    with torch.no_grad():
        y = leaf[:1]
    if y.requires_grad and y.is_leaf:
        (y * 3).sum().backward()
        assert y.grad is not None, "a leaf that requires grad has no gradient after backward"
    else:
        assert not (y * 3).requires_grad


FACTORIES = {
    "zeros": lambda: torch.zeros(2, requires_grad=True),
    "ones": lambda: torch.ones(2, requires_grad=True),
    "full": lambda: torch.full((2,), 3.0, requires_grad=True),
    "tensor": lambda: torch.tensor([1.0], requires_grad=True),
    "arange": lambda: torch.arange(3.0, requires_grad=True),
    "randn": lambda: torch.randn(2, requires_grad=True),
    "rand_like": lambda: torch.rand_like(torch.zeros(2), requires_grad=True),
    "new_zeros": lambda: torch.zeros(1).new_zeros(3, requires_grad=True),
    "requires_grad_": lambda: torch.zeros(2).requires_grad_(),
    "Parameter": lambda: nn.Parameter(torch.zeros(2)),
    "Linear": lambda: nn.Linear(2, 1).weight,
}


@claim("nograd-factory")
@pytest.mark.parametrize("name", FACTORIES)
@BY_MODE
def test_factories(mode, name):
    with MODES[mode]():
        x = FACTORIES[name]()
        assert x.requires_grad, f"{name} under {mode} does not require grad"
        assert not (x * 2).requires_grad
    assert (x.is_leaf, x.requires_grad) == (True, True)


@claim("gradmode-forms")
@BY_MODE
def test_context(leaf, mode):
    with MODES[mode]():
        assert not recorded(leaf)
        with MODES[mode]():
            assert not recorded(leaf)
        assert not recorded(leaf)
        with pytest.raises(KeyError), MODES[mode]():
            raise KeyError
        assert not recorded(leaf)
    assert recorded(leaf)
    with pytest.raises(KeyError), MODES[mode]():
        raise KeyError
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert recorded(leaf)


@claim("gradmode-forms")
@pytest.mark.parametrize("fails", [False, True], ids=["to its end", "fails"])
@pytest.mark.parametrize("before", ["recorded", *MODES])
@pytest.mark.parametrize("mode", [*MODES, "enable_grad", "set_grad_enabled(True)", "inference_mode(False)"])
def test_what_was_is_put_back(mode, before, fails):
    modes = {
        **MODES,
        "recorded": torch.enable_grad,
        "enable_grad": torch.enable_grad,
        "set_grad_enabled(True)": partial(torch.set_grad_enabled, True),
        "inference_mode(False)": partial(torch.inference_mode, False),
    }
    with modes[before]():
        was = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        with contextlib.suppress(KeyError), modes[mode]():
            if fails:
                raise KeyError
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == was


@claim("gradmode-forms")
@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_decorator(leaf, mode):
    @MODES[mode]()
    def off(x, times=2):
        """Doubles."""
        return x * times

    assert not off(leaf).requires_grad
    assert off(leaf, times=3).tolist() == [3, 6]
    assert (off.__name__, off.__doc__) == ("off", "Doubles.")
    assert recorded(leaf)
    assert not off(leaf).requires_grad, "the second call was recorded"

    @torch.enable_grad()
    def on(x):
        return x * 2

    with torch.no_grad():
        assert on(leaf).requires_grad
        assert not recorded(leaf)


@claim("gradmode-forms")
def test_generator(leaf):
    @torch.no_grad()
    def generate(x):
        received = yield (x * 2).requires_grad
        yield (x * 2).requires_grad, received

    running = generate(leaf)
    assert next(running) is False
    assert recorded(leaf), "between two values the caller's mode is on"
    assert running.send("seen") == (False, "seen")
    assert recorded(leaf)


@claim("gradmode-bare-decorator")
@pytest.mark.parametrize("mode", ["no_grad", "inference_mode", "enable_grad"])
def test_decorator_without_call(leaf, mode):
    @getattr(torch, mode)
    def double(x):
        return x * 2

    with torch.set_grad_enabled(mode != "enable_grad"):
        assert double(leaf).requires_grad == (mode == "enable_grad")
        assert double(leaf).tolist() == [2, 4]


@claim("gradmode-set-as-function")
def test_set_as_function(leaf):
    try:
        context = torch.set_grad_enabled(False)
        assert not recorded(leaf)
        assert not torch.is_grad_enabled()
        torch.set_grad_enabled(True)
        assert recorded(leaf)
        torch.set_grad_enabled(False)
        assert not recorded(leaf)
        del context
        assert not recorded(leaf)
    finally:
        torch.set_grad_enabled(True)


@claim("gradmode-enable-inside")
def test_enable_inside(leaf):
    for enable in (torch.enable_grad, lambda: torch.set_grad_enabled(True)):
        with torch.no_grad():
            with enable():
                assert recorded(leaf)
            assert not recorded(leaf)
        with torch.inference_mode(), enable():
            assert not recorded(leaf)
    with torch.inference_mode():
        with torch.inference_mode(False):
            assert recorded(leaf)
            assert not torch.is_inference_mode_enabled()
        assert not recorded(leaf)
        assert torch.is_inference_mode_enabled()
    with torch.no_grad(), torch.inference_mode(False):
        assert not torch.is_inference_mode_enabled()


@claim("gradmode-thread-local")
@BY_MODE
def test_thread(leaf, mode):
    seen = []

    def look():
        seen.append((recorded(leaf), torch.is_inference_mode_enabled()))
        with torch.no_grad():
            inside.set()
            left.wait(10)

    inside, left = threading.Event(), threading.Event()
    with MODES[mode]():
        thread = threading.Thread(target=look)
        thread.start()
        assert inside.wait(10)
        assert not recorded(leaf)
    assert recorded(leaf), "another thread's mode is on here"
    left.set()
    thread.join()
    assert seen == [(True, False)]


@claim("gradmode-forward-ad")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*")
def test_forward_mode(cell):
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(cell.tensor([1.0, 2.0]), cell.tensor([3.0, 5.0]))
        with torch.no_grad():
            tangent = forward_ad.unpack_dual(dual * dual).tangent
        with torch.inference_mode():
            none = forward_ad.unpack_dual(dual * dual).tangent
        again = forward_ad.unpack_dual(dual * 2).tangent
    assert tangent is not None, "no_grad turned forward mode off"
    assert_same(tangent, cell.tensor([6.0, 20.0]), what="tangent of the square under no_grad")
    assert none is None, "inference mode left forward mode on"
    assert again.tolist() == [6, 10]


@claim("gradmode-not-evaluation")
@BY_MODE
def test_training_goes_on(cell, rng, mode):
    net = cell.place(nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(16)))
    x = cell.tensor(rng.uniform(1, 2, (64, 16)))
    with MODES[mode]():
        dropped = net[0](x)
        net(x)
    assert net.training
    # Of 1024 elements none is dropped with probability 2 ** -1024, and all of a channel with 2 ** -60.
    assert (dropped == 0).any()
    assert net[1].num_batches_tracked.item() == 1
    assert (net[1].running_mean != 0).all()


@claim("gradmode-in-function")
@pytest.mark.parametrize("create_graph", [False, True])
def test_inside_a_function(leaf, create_graph):
    seen = []

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            seen.append(torch.is_grad_enabled())
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            seen.append(torch.is_grad_enabled())
            return gradient * 2

    torch.autograd.grad(Double.apply(leaf).sum(), leaf, create_graph=create_graph)
    assert seen == [False, create_graph]
