"""Hooks: when they run, what they receive, what their results do."""

import pytest
from torch import nn

from torchclaims import claim


class Scale(nn.Module):
    """``x * scale + shift``, in numbers or tensors."""

    def forward(self, x, scale=1, *, shift=0):
        return x * scale + shift


@claim("hook-order-forward")
@pytest.mark.parametrize("registered_late", [False, True], ids=["global first", "global last"])
def test_order_around_forward(registered_late):
    log = []

    def say(word):
        return lambda *_: log.append(word)

    class Logging(nn.Module):
        def forward(self, x):
            log.append("forward")
            return x

    module = Logging()

    def register_own():
        for number, prepend in enumerate((False, False, True, True)):
            # Those that take keyword arguments have no place of their own in the order.
            options = {"prepend": prepend, "with_kwargs": number % 2 == 1}
            module.register_forward_hook(say(f"hook{number}"), **options)
            module.register_forward_pre_hook(say(f"pre{number}"), **options)

    if registered_late:
        register_own()
    with (
        nn.modules.module.register_module_forward_hook(say("global")),
        nn.modules.module.register_module_forward_pre_hook(say("global pre")),
    ):
        if not registered_late:
            register_own()
        assert module(1) == 1
    assert log == [
        "global pre", "pre3", "pre2", "pre0", "pre1", "forward", "global", "hook3", "hook2", "hook0", "hook1",
    ]  # fmt: skip
    log.clear()
    module(1)
    assert log == ["pre3", "pre2", "pre0", "pre1", "forward", "hook3", "hook2", "hook0", "hook1"]


@claim("hook-order-forward")
@pytest.mark.parametrize(
    "register",
    [
        lambda module, hook: nn.modules.module.register_module_forward_hook(hook),
        lambda module, hook: nn.modules.module.register_module_forward_pre_hook(hook),
        lambda module, hook: module.register_forward_hook(hook),
        lambda module, hook: module.register_forward_pre_hook(hook),
    ],
    ids=["global hook", "global pre hook", "hook", "pre hook"],
)
def test_a_hook_runs_where_it_is_the_only_one(register):
    log, module = [], Scale()
    with register(module, lambda *_: log.append("hook")):
        module(1)
    assert log == ["hook"]
    module(1)
    assert log == ["hook"]


@claim("hook-fwd-arguments")
def test_what_hooks_receive(cell):
    module, x, shift, seen = Scale(), cell.tensor([1.0]), cell.tensor([3.0]), {}
    for kind, register in (("pre", module.register_forward_pre_hook), ("hook", module.register_forward_hook)):
        for with_kwargs in (False, True):
            key = (kind, with_kwargs)
            register(lambda *given, key=key: seen.update({key: given}), with_kwargs=with_kwargs)
    output = module(x, 2, shift=shift)
    for with_kwargs in (False, True):
        expected = [module, (x, 2), *([{"shift": shift}] if with_kwargs else [])]
        assert identities(seen["pre", with_kwargs]) == identities(expected)
        assert identities(seen["hook", with_kwargs]) == identities([*expected, output])


def identities(value):
    """``value`` with everything in its tuples and dicts replaced by its identity."""
    if isinstance(value, dict):
        return {key: identities(one) for key, one in value.items()}
    return [identities(one) for one in value] if isinstance(value, (tuple, list)) else id(value)


@claim("hook-pre-wrap")
@pytest.mark.parametrize(
    ("returned", "expected"),
    [(None, (10,)), (3, (3,)), ((3,), (3,)), ((3, 4), (3, 4)), (0, (0,)), ((), ()), ([3, 4], ([3, 4],))],
    ids=["None", "value", "tuple", "two", "zero", "no argument", "list"],
)
def test_result_of_a_pre_hook(returned, expected):
    class Echo(nn.Module):
        def forward(self, *args):
            return args

    module = Echo()
    module.register_forward_pre_hook(lambda module, args: returned)
    assert module(10) == expected


@claim("hook-pre-wrap")
def test_pre_hooks_are_chained():
    module = Scale()
    module.register_forward_pre_hook(lambda module, args: args[0] + 1)
    module.register_forward_pre_hook(lambda module, args: (args[0] * 10, 2))
    assert module(1) == 40


@claim("hook-kwargs")
def test_keyword_arguments_are_replaced():
    module = Scale()
    module.register_forward_pre_hook(
        lambda module, args, kwargs: ((args[0] + 1, 3), {"shift": kwargs["shift"] * 2}), with_kwargs=True
    )
    assert module(1, shift=5) == 16
    module.register_forward_pre_hook(lambda module, args, kwargs: None, with_kwargs=True)
    assert module(1, shift=5) == 16


@claim("hook-kwargs")
@pytest.mark.parametrize("returned", [5, (1,), (1, 2, 3)], ids=repr)
def test_other_results_are_rejected(returned):
    module = Scale()
    module.register_forward_pre_hook(lambda module, args, kwargs: returned, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"must return None or a tuple of \(new_args, new_kwargs\)"):
        module(1)


@claim("hook-fwd-replaces-output")
def test_result_of_a_hook():
    module, outputs = Scale(), []
    module.register_forward_hook(lambda module, args, output: outputs.append(output))
    module.register_forward_hook(lambda module, args, output: output + args[0])
    module.register_forward_hook(lambda module, args, output: outputs.append(output))
    module.register_forward_hook(lambda module, args, kwargs, output: output * kwargs["shift"], with_kwargs=True)
    assert module(2, 3, shift=4) == (2 * 3 + 4 + 2) * 4
    assert outputs == [10, 12]


@claim("hook-fwd-replaces-output")
@pytest.mark.parametrize("replacement", [0, False, "", ()], ids=repr)
def test_a_false_result_replaces_too(replacement):
    module = Scale()
    module.register_forward_hook(lambda *_: replacement)
    assert module(1) is replacement


@claim("hook-remove")
@pytest.mark.parametrize("register", ["register_forward_pre_hook", "register_forward_hook"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)], ids=repr)
def test_remove(order, register):
    module, log = Scale(), []
    handles = [getattr(module, register)(lambda *_, number=number: log.append(number)) for number in range(3)]
    left = [0, 1, 2]
    for number in order:
        handles[number].remove()
        handles[number].remove()
        left.remove(number)
        module(1)
        assert log == left
        log.clear()


@claim("hook-remove")
@pytest.mark.parametrize("register", ["register_forward_pre_hook", "register_forward_hook"])
def test_a_hook_after_a_removal_takes_no_place(register):
    module, log = Scale(), []

    def add(word):
        return getattr(module, register)(lambda *_: log.append(word))

    first, *_ = [add(word) for word in "abc"]
    first.remove()
    add("d")
    module(1)
    assert log == ["b", "c", "d"]
    first.remove()
    module(1)
    assert log == ["b", "c", "d"] * 2


@claim("hook-errors-pass")
@pytest.mark.parametrize(
    ("register", "expected"),
    [("register_forward_pre_hook", []), ("register_forward_hook", ["forward"])],
    ids=["pre hook", "hook"],
)
def test_errors_of_hooks(register, expected):
    log = []

    class Logging(nn.Module):
        def forward(self, x):
            log.append("forward")
            return x

    def fail(*_):
        raise LookupError("from the hook")

    module = Logging()
    getattr(module, register)(fail)
    getattr(module, register)(lambda *_: log.append("next hook"))
    with pytest.raises(LookupError, match="from the hook"):
        module(1)
    assert log == expected


class Failing(nn.Module):
    def forward(self, x):
        if x < 0:
            raise ValueError("negative")
        return x


@claim("hook-always-call")
def test_always_call():
    module, log = Failing(), []

    def say(word):
        return lambda module, args, output: log.append((word, args, output))

    module.register_forward_hook(say("first"))
    module.register_forward_hook(say("always"), always_call=True)
    module.register_forward_hook(say("last"))
    with pytest.raises(ValueError, match="negative"):
        module(-1)
    assert log == [("always", (-1,), None)]
    log.clear()
    module(1)
    assert log == [(word, (1,), 1) for word in ("first", "always", "last")]


@claim("hook-always-call")
def test_always_called_hook_runs_once_when_a_later_hook_raises():
    module, log = Failing(), []

    def fail(*_):
        raise LookupError("from the hook")

    module.register_forward_hook(lambda *_: log.append("before"), always_call=True)
    module.register_forward_hook(fail)
    module.register_forward_hook(lambda *_: log.append("after"), always_call=True)
    with pytest.raises(LookupError, match="from the hook"):
        module(1)
    assert log == ["before", "after"]


@claim("hook-order-backward")
def test_order_in_the_backward_pass(cell):
    module, log = Scale(), []

    def say(word):
        return lambda module, *grads: log.append((word, [one.tolist() for (one, *_) in grads]))

    for number, prepend in enumerate((False, False, True, True)):
        module.register_full_backward_hook(say(f"hook{number}"), prepend=prepend)
        module.register_full_backward_pre_hook(say(f"pre{number}"), prepend=prepend)
    x = cell.tensor([1.0, 2.0], requires_grad=True)
    module(x, 3).backward(cell.tensor([10.0, 20.0]))
    into, out = [30, 60], [10, 20]
    assert log == [
        *((f"pre{number}", [out]) for number in (3, 2, 0, 1)),
        *((f"hook{number}", [into, out]) for number in (3, 2, 0, 1)),
    ]
    assert x.grad.tolist() == into


@claim("hook-order-backward")
@pytest.mark.parametrize("register", ["register_full_backward_pre_hook", "register_full_backward_hook"])
def test_a_backward_hook_runs_where_it_is_the_only_one(register, cell):
    module, log = Scale(), []
    getattr(module, register)(lambda module, *grads: log.append(grads[-1][0].tolist()))
    module(cell.tensor([1.0], requires_grad=True), 3).backward(cell.tensor([10.0]))
    assert log == [[10]]
