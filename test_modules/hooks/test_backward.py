"""Full backward hooks of modules: when they fire, what they receive, what their results do."""

import warnings

import pytest
import torch
from torch import nn

from torchclaims import claim

KINDS = pytest.mark.parametrize(
    "register", ["register_full_backward_hook", "register_full_backward_pre_hook"], ids=["hook", "pre hook"]
)


class Scale(nn.Module):
    """``x * factor + shift``: one input's gradient is ``factor`` times the output's."""

    def __init__(self, factor=3.0):
        super().__init__()
        self.factor = factor

    def forward(self, x, shift=0, *, more=0):
        return x * self.factor + shift + more


class Weighted(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.weight = nn.Parameter(cell.tensor([2.0, 5.0]))

    def forward(self, x, *rest, **options):
        return x * self.weight


class Both(nn.Module):
    """Two outputs and something that is no tensor between them."""

    def forward(self, x, y, *rest):
        return x * 2, "no tensor", y * 3


def lists(value):
    """The tensors of a nested tuple as lists."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return tuple(lists(one) for one in value) if isinstance(value, tuple) else value


def logging(module):
    """The log of a full backward hook and a backward pre hook that are registered on ``module``."""
    log = []
    module.register_full_backward_hook(lambda _, into, out: log.append(("hook", lists(into), lists(out))))
    module.register_full_backward_pre_hook(lambda _, out: log.append(("pre", lists(out))))
    return log


@claim("hook-bw-kwargs-none")
def test_gradients_of_inputs_and_outputs(cell):
    module = Both()
    log = logging(module)
    x, y = (cell.tensor(values, requires_grad=True) for values in ([1.0, 2.0], [3.0]))
    first, _, last = module(x, y, "text")
    torch.autograd.backward([first, last], [cell.tensor([10.0, 20.0]), cell.tensor([30.0])])
    out = ([10, 20], None, [30])
    assert log == [("pre", out), ("hook", ([20, 40], [90], None), out)]
    assert (x.grad.tolist(), y.grad.tolist()) == ([20, 40], [90])


@claim("hook-bw-kwargs-none")
def test_the_hook_receives_its_module(cell):
    first, second, seen = Scale(), Scale(), []
    for module in (first, second):
        module.register_full_backward_hook(lambda *given: seen.append(given[0]))
        module.register_full_backward_pre_hook(lambda *given: seen.append(given[0]))
    second(first(cell.tensor([1.0], requires_grad=True))).backward()
    assert [id(one) for one in seen] == [id(one) for one in (second, second, first, first)]


@claim("hook-bw-kwargs-none")
@pytest.mark.parametrize("as_keyword", ["shift", "more"])
def test_keyword_arguments_are_no_inputs(as_keyword, cell):
    module = Scale()
    log = logging(module)
    x, y = (cell.tensor([1.0], requires_grad=True) for _ in range(2))
    module(x, **{as_keyword: y}).backward(cell.tensor([10.0]))
    assert log == [("pre", ([10],)), ("hook", ([30],), ([10],))]
    assert (x.grad.tolist(), y.grad.tolist()) == ([30], [10])


@claim("hook-bw-kwargs-none")
@pytest.mark.parametrize("place", [0, 1, 2])
def test_none_stands_where_no_tensor_was(place, cell):
    class Chosen(nn.Module):
        def forward(self, *args):
            return args[place] * 2

    module, x = Chosen(), cell.tensor([1.0], requires_grad=True)
    log = logging(module)
    args = [None, 7, "text"]
    args[place] = x
    module(*args).backward(cell.tensor([10.0]))
    expected = tuple([20] if number == place else None for number in range(3))
    assert log == [("pre", ([10],)), ("hook", expected, ([10],))]


@claim("hook-reuse-fires-each-call")
def test_a_module_called_twice_fires_twice(cell):
    module, x = Scale(), cell.tensor([1.0], requires_grad=True)
    log = logging(module)
    module(module(x)).backward(cell.tensor([10.0]))
    assert log == [
        ("pre", ([10],)), ("hook", ([30],), ([10],)), ("pre", ([30],)), ("hook", ([90],), ([30],)),
    ]  # fmt: skip
    assert x.grad.tolist() == [90]


@claim("hook-reuse-fires-each-call")
def test_each_backward_fires_again(cell):
    module = Scale()
    log = logging(module)
    output = module(cell.tensor([1.0], requires_grad=True))
    for number in (10.0, 20.0):
        output.backward(cell.tensor([number]), retain_graph=True)
    assert log == [
        ("pre", ([10],)), ("hook", ([30],), ([10],)), ("pre", ([20],)), ("hook", ([60],), ([20],)),
    ]  # fmt: skip


@claim("hook-reuse-fires-each-call")
def test_a_call_without_backward_does_not_fire(cell):
    module, x = Scale(), cell.tensor([1.0], requires_grad=True)
    log = logging(module)
    module(x)
    assert log == []


@claim("hook-bw-rule1")
def test_the_hook_waits_for_the_gradient_of_the_input(cell):
    module, x = Weighted(cell), cell.tensor([1.0, 1.0], requires_grad=True)
    log = logging(module)
    output = module(x).sum()
    (gradient,) = torch.autograd.grad(output, module.weight, retain_graph=True)
    assert [word for word, *_ in log] == ["pre"]
    assert gradient.tolist() == [1, 1]
    log.clear()
    torch.autograd.grad(output, x)
    assert log == [("pre", ([1, 1],)), ("hook", ([2, 5],), ([1, 1],))]


@claim("hook-bw-rule1")
def test_one_input_that_requires_gradients_suffices(cell):
    module = Both()
    log = logging(module)
    x, y = cell.tensor([1.0]), cell.tensor([1.0], requires_grad=True)
    module(x, y)[2].backward(cell.tensor([10.0]))
    assert [word for word, *_ in log] == ["pre", "hook"]
    assert log[1][1][1] == [30]
    assert log[1][2] == (None, None, [10])


@claim("hook-bw-rule2")
@pytest.mark.parametrize("arguments", [("x",), ("x", "y"), ("x", 5)], ids=["one", "two", "with a number"])
def test_without_tracked_inputs_the_outputs_fire(arguments, cell):
    module = Weighted(cell)
    log = logging(module)
    args = [cell.tensor([3.0, 4.0]) if isinstance(one, str) else one for one in arguments]
    output = module(*args)
    with warnings.catch_warnings():
        # Newer releases warn of this rule.
        warnings.simplefilter("ignore")
        output.backward(cell.tensor([10.0, 20.0]))
    assert log == [("pre", ([10, 20],)), ("hook", (None,) * len(args), ([10, 20],))]
    assert module.weight.grad.tolist() == [30, 80]


@claim("hook-bw-rule2")
def test_without_tracked_inputs_nothing_can_be_replaced(cell):
    module = Weighted(cell)
    module.register_full_backward_hook(lambda _, into, out: (None,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module(cell.tensor([3.0, 4.0])).sum().backward()
        assert module.weight.grad.tolist() == [3, 4]
        module.register_full_backward_hook(lambda _, into, out: out)
        with pytest.raises(RuntimeError, match="should always return None or None for all gradients"):
            module(cell.tensor([3.0, 4.0])).sum().backward()


@claim("hook-bw-rule3")
@pytest.mark.parametrize("way", ["no_grad", "detached input", "frozen", "detached output"])
def test_untracked_outputs_do_not_fire(way, cell):
    class Detaching(Scale):
        def forward(self, x):
            return super().forward(x).detach()

    module = {"frozen": Weighted(cell).requires_grad_(False), "detached output": Detaching()}.get(way, Scale())
    log = logging(module)
    x = cell.tensor([1.0, 2.0], requires_grad=way in ("no_grad", "detached output"))
    with torch.set_grad_enabled(way != "no_grad"):
        output = module(x)
    assert not output.requires_grad
    other = cell.tensor([1.0, 1.0], requires_grad=True)
    (output * other).sum().backward()
    assert log == []
    assert other.grad.tolist() == output.tolist()


@claim("hook-bw-replace")
@pytest.mark.parametrize("make", [tuple, list], ids=["tuple", "list"])
def test_result_replaces_the_gradient_of_the_input(make, cell):
    module, x = Weighted(cell), cell.tensor([3.0, 4.0], requires_grad=True)
    seen = []
    module.register_full_backward_hook(lambda _, into, out: make([into[0] + 100]))
    module.register_full_backward_hook(lambda _, into, out: seen.append((lists(tuple(into)), lists(out))))
    module.register_full_backward_hook(lambda _, into, out: make([into[0] * 2]))
    module(x).backward(cell.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [(2 + 100) * 2, (50 + 100) * 2]
    assert seen == [(([102, 150],), ([1, 10],))]
    assert module.weight.grad.tolist() == [3, 40]


@claim("hook-bw-replace")
def test_earlier_layers_take_the_replacement(cell):
    first, second = Weighted(cell), Scale()
    second.register_full_backward_hook(lambda _, into, out: (into[0] * 10,))
    second(first(cell.tensor([3.0, 4.0]))).sum().backward()
    assert first.weight.grad.tolist() == [3 * 30, 4 * 30]


@claim("hook-bw-replace")
def test_the_next_hook_sees_each_replacement(cell):
    module, seen = Both(), []
    module.register_full_backward_hook(lambda _, into, out: (into[0] * 10, into[1] * 100))
    module.register_full_backward_hook(lambda _, into, out: seen.append(lists(into)))
    x, y = (cell.tensor([1.0], requires_grad=True) for _ in range(2))
    first, _, last = module(x, y)
    (first + last).backward()
    assert seen == [([20], [300])]
    assert (x.grad.tolist(), y.grad.tolist()) == ([20], [300])


@claim("hook-bw-replace")
def test_none_cuts_the_gradient_of_one_input(cell):
    module = Both()
    module.register_full_backward_hook(lambda _, into, out: (None, into[1] * 10, None))
    x, y = (cell.tensor([1.0], requires_grad=True) for _ in range(2))
    first, _, last = module(x, y, 0)
    (first + last).backward()
    assert x.grad is None
    assert y.grad.tolist() == [30]


@claim("hook-bw-replace")
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_gradients(count, cell):
    module, x = Both(), cell.tensor([1.0], requires_grad=True)
    module.register_full_backward_hook(lambda _, into, out: into[:1] * count)
    with pytest.raises(RuntimeError, match=rf"invalid number of grad_input, got {count}, but expected 2"):
        module(x, x)[0].backward()
    assert x.grad is None


@claim("hook-bw-pre-replace")
def test_result_of_a_pre_hook_replaces_the_gradient_of_the_output(cell):
    module, x = Weighted(cell), cell.tensor([3.0, 4.0], requires_grad=True)
    module.register_full_backward_pre_hook(lambda _, out: (out[0] + 1,))
    module.register_full_backward_pre_hook(lambda _, out: None)
    module.register_full_backward_pre_hook(lambda _, out: (out[0] * 10,))
    log = logging(module)
    module(x).backward(cell.tensor([1.0, 2.0]))
    assert log == [("pre", ([20, 30],)), ("hook", ([40, 150],), ([20, 30],))]
    assert x.grad.tolist() == [40, 150]
    assert module.weight.grad.tolist() == [60, 120]


@claim("hook-bw-pre-replace")
def test_result_of_a_pre_hook_with_several_outputs(cell):
    module = Both()
    module.register_full_backward_pre_hook(lambda _, out: (out[0] * 10, None, out[2]))
    x, y = (cell.tensor([1.0], requires_grad=True) for _ in range(2))
    first, _, last = module(x, y)
    (first + last).backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([20], [3])


@claim("hook-bw-pre-replace")
@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_wrong_number_of_gradients_of_outputs(count, cell):
    module, x = Both(), cell.tensor([1.0], requires_grad=True)
    module.register_full_backward_pre_hook(lambda _, out: out[:1] * count)
    with pytest.raises(RuntimeError, match=rf"invalid number of grad_output, got {count}, but expected 3"):
        module(x, x)[0].backward()
    assert x.grad is None


@claim("hook-bw-pre-tensor")
def test_a_pre_hook_may_return_a_tensor(cell):
    module, x = Scale(), cell.tensor([1.0, 2.0], requires_grad=True)
    module.register_full_backward_pre_hook(lambda _, out: out[0] * 10)
    try:
        module(x).backward(cell.tensor([1.0, 2.0]))
    except RuntimeError as error:
        raise AssertionError(f"expected the gradient, seen {error}") from None
    assert x.grad.tolist() == [30, 60]


class ChangesItsInput(nn.Module):
    """Computes with a changed ``x``."""

    def __init__(self, cell):
        super().__init__()
        self.weight = nn.Parameter(cell.tensor([2.0, 5.0]))

    def forward(self, x):
        return x.mul_(3) * self.weight


INPLACE = r"view and is being modified inplace"


@claim("hook-bw-inplace")
@KINDS
def test_an_input_must_not_change(register, cell):
    module, x = ChangesItsInput(cell), cell.tensor([1.0, 1.0], requires_grad=True) * 1
    assert module(x.clone()).tolist() == [6, 15]
    getattr(module, register)(lambda *_: None)
    with pytest.raises(RuntimeError, match=INPLACE):
        module(x)
    assert x.tolist() == [1, 1]


@claim("hook-bw-inplace")
@pytest.mark.parametrize("change", ["add_", "mul_", "zero_"])
@KINDS
def test_an_output_must_not_change(register, change, cell):
    module, x = Scale(), cell.tensor([1.0, 2.0], requires_grad=True)
    getattr(module, register)(lambda *_: None)
    output = module(x)
    with pytest.raises(RuntimeError, match=INPLACE):
        getattr(output, change)(*([2] if change != "zero_" else []))
    assert output.tolist() == [3, 6]


@claim("hook-bw-inplace-untracked")
@KINDS
def test_an_input_without_gradient_must_not_change(register, cell):
    module, x = ChangesItsInput(cell), cell.tensor([1.0, 1.0])
    getattr(module, register)(lambda *_: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module(x)
        except RuntimeError:
            return
    raise AssertionError(f"expected an error, seen none, and the input became {x.tolist()}")


@claim("hook-bw-view")
@KINDS
def test_forward_and_caller_receive_views(register, cell):
    inside = []

    class Keeping(nn.Module):
        def forward(self, x):
            inside.append(x)
            inside.append(x * 2)
            return inside[1]

    module, x = Keeping(), cell.tensor([1.0, 2.0], requires_grad=True)
    getattr(module, register)(lambda *_: None)
    output = module(x)
    for outer, inner in ((x, inside[0]), (inside[1], output)):
        assert outer is not inner
        assert outer.data_ptr() == inner.data_ptr()
        assert outer.tolist() == inner.tolist()
    inside.clear()
    with torch.no_grad():
        assert module(x) is inside[1]
        assert inside[0] is x


@claim("hook-bw-dict-output")
@pytest.mark.parametrize("make", [lambda y: {"y": y}, lambda y: [y]], ids=["dict", "list"])
def test_other_outputs_warn_and_do_not_fire(make, cell):
    class Packing(nn.Module):
        def forward(self, x):
            return make(x * 2)

    module, x = Packing(), cell.tensor([1.0], requires_grad=True)
    log = logging(module)
    with pytest.warns(UserWarning, match="module output should be a Tensor or a tuple of Tensors but received"):
        output = module(x)
    (output["y"] if isinstance(output, dict) else output[0]).backward()
    assert log == []
    assert x.grad.tolist() == [2]


@claim("hook-mix")
@pytest.mark.parametrize(
    ("first", "second"),
    [("register_backward_hook", "register_full_backward_hook"),
     ("register_full_backward_hook", "register_backward_hook")],
    ids=["full last", "full first"],
)  # fmt: skip
def test_old_and_full_hooks_exclude_each_other(first, second, cell):
    module, log = Scale(), []
    getattr(module, first)(lambda *_: log.append("first"))
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full backward hooks"):
        getattr(module, second)(lambda *_: log.append("second"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module(cell.tensor([1.0], requires_grad=True)).backward()
    assert log == ["first"]


@claim("hook-bw-remove")
@KINDS
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)], ids=repr)
def test_remove(order, register, cell):
    module, log, x = Scale(), [], cell.tensor([1.0], requires_grad=True)
    handles = [getattr(module, register)(lambda *_, number=number: log.append(number)) for number in range(3)]
    left = [0, 1, 2]
    for number in order:
        handles[number].remove()
        handles[number].remove()
        left.remove(number)
        output = module(x)
        output.backward()
        assert log == left
        log.clear()
    output.mul_(2)  # no hook, no view


@claim("hook-bw-remove")
@KINDS
def test_a_handle_ends_with_its_block(register, cell):
    module, log, x = Scale(), [], cell.tensor([1.0], requires_grad=True)
    with getattr(module, register)(lambda *_: log.append("hook")):
        module(x).backward()
    module(x).backward()
    assert log == ["hook"]


class OneNode(nn.Module):
    def forward(self, x):
        return x.exp()


class Separate(nn.Module):
    def forward(self, x):
        return x.exp(), x.sin()


class Listing(nn.Module):
    def forward(self, x):
        return [x.exp()]


class Nested(nn.Module):
    def forward(self, x):
        return {"text": "", "y": x.exp()}


class TakesMore(nn.Module):
    def forward(self, x, text):
        return x.exp()


LEGACY = {
    "one node": (OneNode, (), None),
    "two nodes": (Scale, (), "when the forward contains multiple autograd Nodes"),
    "two outputs": (Separate, (), "outputs are generated by different autograd Nodes"),
    "list": (Listing, (), "does not return a single Tensor or a tuple of Tensors"),
    "dict": (Nested, (), "does not return a single Tensor or a tuple of Tensors"),
    "text": (TakesMore, ("text",), "does not take as input a single Tensor or a tuple of Tensors"),
}


@claim("hook-bw-legacy")
@pytest.mark.parametrize("case", LEGACY)
def test_the_old_hook_says_what_it_misses(case, cell):
    kind, rest, message = LEGACY[case]
    module, log = kind(), []
    module.register_backward_hook(lambda *given: log.append(given))
    # The input has a history, so that what goes before the module is a node too.
    x = cell.tensor([0.0, 0.0], requires_grad=True).neg()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        output = module(x, *rest)
    assert [message for one in seen if message in str(one.message)] == [message] * (message is not None)
    assert len(seen) == (message is not None)
    while not isinstance(output, torch.Tensor):
        output = output["y"] if isinstance(output, dict) else output[0]
    output.backward(cell.tensor([10.0, 20.0]))
    assert [id(given[0]) for given in log] == [id(module)]
    assert lists(log[0][2]) == ([10, 20],)
    if message is None:
        assert lists(log[0][1]) == ([10, 20],)


@claim("hook-bw-legacy")
def test_the_old_hook_without_gradients(cell):
    module, log = OneNode(), []
    module.register_backward_hook(lambda *given: log.append(given))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert module(cell.tensor([0.0])).tolist() == [1]
    assert log == []


@claim("hook-bw-legacy")
def test_result_of_the_old_hook(cell):
    module, x = OneNode(), cell.tensor([0.0], requires_grad=True)
    module.register_backward_hook(lambda module, into, out: (into[0] * 42,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module(x).backward()
    assert x.grad.tolist() == [42]
