"""Hooks of all modules: when they run, what they change, what they may be combined with."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.modules import module as everywhere

from torchclaims import claim


class Scale(nn.Module):
    def __init__(self, factor=3):
        super().__init__()
        self.factor = factor

    def forward(self, x, shift=0, *, more=0):
        return x * self.factor + shift + more


@claim("hook-global-every-module")
def test_every_module_of_a_network_runs_them():
    net = nn.Sequential(Scale(), nn.Sequential(Scale()))
    log = []
    names = {module: name for name, module in net.named_modules()}
    with (
        everywhere.register_module_forward_pre_hook(lambda module, args: log.append(("pre", names[module], args))),
        everywhere.register_module_forward_hook(
            lambda module, args, output: log.append(("hook", names[module], args, output))
        ),
    ):
        assert net(2) == 18
    assert log == [
        ("pre", "", (2,)),
        ("pre", "0", (2,)), ("hook", "0", (2,), 6),
        ("pre", "1", (6,)),
        ("pre", "1.0", (6,)), ("hook", "1.0", (6,), 18),
        ("hook", "1", (6,), 18),
        ("hook", "", (2,), 18),
    ]  # fmt: skip


@claim("hook-global-every-module")
def test_they_see_positional_arguments_only():
    log = []
    with (
        everywhere.register_module_forward_pre_hook(lambda *given: log.append(given[1:])),
        everywhere.register_module_forward_hook(lambda *given: log.append(given[1:])),
    ):
        Scale()(1, 2, more=3)
    assert log == [((1, 2),), ((1, 2), 8)]


@claim("hook-global-every-module")
@pytest.mark.parametrize(("returned", "expected"), [(None, 30), (4, 12), ((4, 1), 13), (0, 0), ([], [])], ids=repr)
def test_result_of_a_pre_hook_replaces_the_input(returned, expected):
    with everywhere.register_module_forward_pre_hook(lambda module, args: returned):
        assert (Scale()(10) if returned != [] else nn.Identity()(10)) == expected


@claim("hook-global-every-module")
@pytest.mark.parametrize("returned", [None, 4, 0, ""], ids=repr)
def test_result_of_a_hook_replaces_the_output(returned):
    module, seen = Scale(), []
    module.register_forward_hook(lambda module, args, output: seen.append(output))
    with everywhere.register_module_forward_hook(lambda module, args, output: returned):
        output = module(10)
    assert output == seen[0] == (30 if returned is None else returned)


@claim("hook-global-every-module")
@pytest.mark.parametrize(
    "register", ["register_module_forward_hook", "register_module_forward_pre_hook"], ids=["hook", "pre hook"]
)
def test_remove_takes_one(register):
    log = []
    handles = [getattr(everywhere, register)(lambda *_, number=number: log.append(number)) for number in range(3)]
    try:
        handles[1].remove()
        Scale()(1)
    finally:
        for handle in handles:
            handle.remove()
    Scale()(1)
    assert log == [0, 2]


@claim("hook-global-with-kwargs")
def test_keyword_arguments_on_demand():
    log = []
    with everywhere.register_module_forward_hook(lambda *given: log.append(given[1:]), with_kwargs=True):
        Scale()(1, 2, more=3)
    assert log == [((1, 2), {"more": 3}, 8)]


class Failing(nn.Module):
    def forward(self, x, more=0):
        if x < 0:
            raise ValueError("negative")
        return x


@claim("hook-global-always-call")
def test_always_call():
    log = []

    def say(word):
        return lambda module, args, output: log.append((word, args, output))

    with (
        everywhere.register_module_forward_hook(say("global")),
        everywhere.register_module_forward_hook(say("global always"), always_call=True),
    ):
        module = Failing()
        module.register_forward_hook(say("own always"), always_call=True)
        with pytest.raises(ValueError, match="negative"):
            module(-1)
        assert log == [("global always", (-1,), None), ("own always", (-1,), None)]
        log.clear()
        assert module(1) == 1
    assert log == [(word, (1,), 1) for word in ("global", "global always", "own always")]


@claim("hook-global-always-call")
def test_a_removed_hook_is_not_called():
    log = []
    everywhere.register_module_forward_hook(lambda *_: log.append(1), always_call=True).remove()
    with pytest.raises(ValueError, match="negative"):
        Failing()(-1)
    assert log == []


@claim("hook-global-always-call")
def test_a_hook_that_has_run_does_not_run_again():
    def fail(*_):
        raise LookupError("from the hook")

    module, log = Failing(), []
    module.register_forward_hook(fail)
    with (
        everywhere.register_module_forward_hook(lambda *_: log.append(1), always_call=True),
        pytest.raises(LookupError, match="from the hook"),
    ):
        module(1)
    assert log == [1]


@claim("hook-global-always-call")
def test_errors_of_always_called_hooks_become_warnings():
    def fail(*_):
        raise LookupError("from the hook")

    log = []
    with (
        everywhere.register_module_forward_hook(fail, always_call=True),
        everywhere.register_module_forward_hook(lambda *_: log.append("next"), always_call=True),
        pytest.warns(UserWarning, match="silenced as another error was raised in forward: from the hook"),
        pytest.raises(ValueError, match="negative"),
    ):
        Failing()(-1)
    assert log == ["next"]


@claim("hook-global-always-call")
def test_results_of_always_called_hooks_are_handed_on():
    module, seen = Failing(), []
    module.register_forward_hook(lambda module, args, output: seen.append(output), always_call=True)
    with (
        everywhere.register_module_forward_hook(lambda *_: "rescued", always_call=True),
        pytest.raises(ValueError, match="negative"),
    ):
        module(-1)
    assert seen == ["rescued"]


@claim("hook-global-always-kwargs")
def test_always_called_with_keyword_arguments():
    log = []

    def hook(*given):
        log.append(given[1:])

    with (
        everywhere.register_module_forward_hook(hook, with_kwargs=True, always_call=True),
        pytest.raises(ValueError, match="negative"),
    ):
        Failing()(-1, more=2)
    assert log == [((-1,), {"more": 2}, None)], f"expected args, kwargs and output, seen {log}"


def say_gradients(log, word):
    return lambda module, *grads: log.append((word, [one.tolist() for (one, *_) in grads]))


@claim("hook-global-backward")
@pytest.mark.parametrize("late", [False, True], ids=["global first", "global last"])
def test_order_in_the_backward_pass(late, cell):
    module, log = Scale(), []
    x = cell.tensor([1.0], requires_grad=True)

    def register_own():
        for prepend in (False, True):
            word = "prepended" if prepend else "own"
            module.register_full_backward_hook(say_gradients(log, word), prepend=prepend)
            module.register_full_backward_pre_hook(say_gradients(log, f"{word} pre"), prepend=prepend)

    if late:
        register_own()
    with (
        everywhere.register_module_full_backward_hook(say_gradients(log, "global")),
        everywhere.register_module_full_backward_pre_hook(say_gradients(log, "global pre")),
    ):
        if not late:
            register_own()
        module(x).backward(cell.tensor([10.0]))
    assert log == [
        ("global pre", [[10]]), ("prepended pre", [[10]]), ("own pre", [[10]]),
        ("global", [[30], [10]]), ("prepended", [[30], [10]]), ("own", [[30], [10]]),
    ]  # fmt: skip
    log.clear()
    module(x).backward()
    assert [word for word, _ in log] == ["prepended pre", "own pre", "prepended", "own"]


@claim("hook-global-backward")
@pytest.mark.parametrize("pre", [False, True], ids=["hook", "pre hook"])
def test_a_global_backward_hook_alone(pre, cell):
    first, second, log = Scale(2), Scale(5), []
    names = {first: "first", second: "second"}
    register = (
        everywhere.register_module_full_backward_pre_hook if pre else everywhere.register_module_full_backward_hook
    )
    x = cell.tensor([1.0], requires_grad=True)
    with register(lambda module, *grads: log.append((names[module], [one.tolist() for (one, *_) in grads]))):
        output = second(first(x))
    output.backward(cell.tensor([10.0]))
    grads = {"second": [[50], [10]], "first": [[100], [50]]}
    assert log == [(name, grads[name][pre:]) for name in ("second", "first")]
    log.clear()
    second(first(x)).backward()
    assert log == []


@claim("hook-global-backward")
@pytest.mark.parametrize("pre", [False, True], ids=["hook", "pre hook"])
def test_result_of_a_global_backward_hook(pre, cell):
    register = (
        everywhere.register_module_full_backward_pre_hook if pre else everywhere.register_module_full_backward_hook
    )
    module, x = Scale(), cell.tensor([1.0], requires_grad=True)
    with register(lambda module, *grads: (grads[0][0] + 1,)):
        module(x).backward(cell.tensor([10.0]))
    assert x.grad.tolist() == [33 if pre else 31]


@claim("hook-global-mix")
def test_old_and_full_hooks_of_all_modules_exclude_each_other(cell):
    module, log = Scale(), []
    with everywhere.register_module_full_backward_hook(lambda *_: log.append("full")):
        with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full backward hooks"):
            everywhere.register_module_backward_hook(lambda *_: log.append("old"))
        module(cell.tensor([1.0], requires_grad=True)).backward()
    assert log == ["full"]


@claim("hook-global-mix")
def test_an_old_hook_of_one_module_beside_full_ones_of_all(cell):
    module, log = Scale(), []
    module.register_backward_hook(lambda *_: log.append("old"))
    with everywhere.register_module_full_backward_hook(lambda *_: log.append("full")), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module(cell.tensor([1.0], requires_grad=True)).backward()
    assert sorted(log) == ["full", "old"]


REGISTERING = {
    "parameter": ("register_module_parameter_registration_hook", lambda: nn.Parameter(torch.zeros(1))),
    "buffer": ("register_module_buffer_registration_hook", lambda: torch.zeros(1)),
    "module": ("register_module_module_registration_hook", nn.ReLU),
}


def registering(kind):
    name, make = REGISTERING[kind]
    return getattr(everywhere, name), make


def method(kind):
    return f"register_{kind}"


@claim("hook-registration")
@pytest.mark.parametrize("kind", REGISTERING)
def test_every_registration_is_announced(kind):
    register, make = registering(kind)
    module, value, log = nn.Module(), make(), []
    with register(lambda *given: log.append(given)):
        getattr(module, method(kind))("first", value)
        module.first = other = make()
        getattr(module, method(kind))("nothing", None)
        for other_kind in REGISTERING.keys() - {kind}:
            getattr(module, method(other_kind))(other_kind, REGISTERING[other_kind][1]())
        module.number = 1
    getattr(module, method(kind))("late", make())
    assert [(id(one), name, id(what)) for one, name, what in log if what is not None] == [
        (id(module), "first", id(value)),
        (id(module), "first", id(other)),
    ]
    assert module.first is other


@claim("hook-registration")
@pytest.mark.parametrize("by", ["method", "assignment"])
@pytest.mark.parametrize("kind", REGISTERING)
def test_what_the_hook_returns_is_registered(kind, by):
    register, make = registering(kind)
    module, replacement, last, seen = nn.Module(), make(), make(), []
    getattr(module, method(kind))("name", make())
    with (
        register(lambda *_: replacement),
        register(lambda module, name, value: seen.append(value)),
        register(lambda *_: last),
    ):
        if by == "method":
            getattr(module, method(kind))("name", make())
        else:
            module.name = make()
    assert [id(one) for one in seen] == [id(replacement)]
    assert module.name is last


@claim("hook-registration")
def test_children_given_up_are_announced():
    module, log = nn.Module(), []
    module.child = nn.ReLU()
    with everywhere.register_module_module_registration_hook(lambda owner, name, value: log.append((name, value))):
        module.child = None
    assert log == [("child", None)]
    assert module.child is None


@claim("hook-registration")
def test_the_layers_of_pytorch_announce_theirs():
    log = []
    with (
        everywhere.register_module_parameter_registration_hook(lambda owner, name, value: log.append(name)),
        everywhere.register_module_buffer_registration_hook(lambda owner, name, value: log.append(name)),
        everywhere.register_module_module_registration_hook(lambda owner, name, value: log.append(name)),
    ):
        nn.Sequential(nn.BatchNorm1d(2), nn.Linear(1, 1, bias=False))
    assert [name for name in log if name != "bias"] == [
        "weight", "running_mean", "running_var", "num_batches_tracked", "weight", "0", "1",
    ]  # fmt: skip
