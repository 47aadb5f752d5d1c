"""Parameters, buffers and children beside each other: which kind a name may change to, and how they print."""

import contextlib

import pytest
import torch
from torch import nn

from torchclaims import claim


def attempt(function):
    """What a call raised, as text, or nothing."""
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def names(pairs):
    return [name for name, _ in pairs]


def kinds(module):
    """The names of parameters, buffers, children and saved entries."""
    children = [name for name, _ in module.named_children()]
    return names(module.named_parameters()), names(module.named_buffers()), children, list(module.state_dict())


@claim("module-constructor-arguments")
@pytest.mark.parametrize("cls", [nn.Module, type("Own", (nn.Module,), {})])
def test_arguments(cls):
    assert attempt(cls) == "nothing"
    assert attempt(lambda: cls(1)).startswith("TypeError: ")
    assert "positional argument" in attempt(lambda: cls(1, 2))
    assert attempt(lambda: cls(extra=1)).startswith("TypeError: ")
    assert "unexpected keyword argument 'extra'" in attempt(lambda: cls(extra=None))


@claim("register-before-init")
def test_before_the_constructor(cell):
    class Early(nn.Module):
        def __init__(self):
            pass

    module = Early()
    value = cell.tensor([1.0])
    for kind, register in (
        ("parameter", lambda: module.register_parameter("value", nn.Parameter(value))),
        ("buffer", lambda: module.register_buffer("value", value)),
    ):
        assert attempt(register) == f"AttributeError: cannot assign {kind} before Module.__init__() call"
    assert vars(module) == {}


@claim("register-module-alias")
@pytest.mark.parametrize("method", ["register_module", "add_module"])
def test_register_module(method):
    net, child = nn.Module(), nn.Linear(1, 1)
    assert getattr(net, method)("first", child) is None
    getattr(net, method)("empty", None)
    getattr(net, method)("last", nn.ReLU())
    assert net.first is child
    assert net.empty is None
    assert names(net.named_children()) == ["first", "last"]
    assert list(net.state_dict()) == ["first.weight", "first.bias"]
    net.half().eval()
    assert child.weight.dtype is torch.float16
    net.empty = nn.ReLU()
    assert names(net.named_children()) == ["first", "empty", "last"]


@claim("register-again")
def test_again(cell):
    module = nn.Module()
    for name in "ab":
        module.register_parameter(f"{name}_parameter", nn.Parameter(cell.tensor([1.0])))
        module.register_buffer(f"{name}_buffer", cell.tensor([1.0]))
        module.register_module(f"{name}_child", nn.ReLU())
    parameter, buffer, child = nn.Parameter(cell.tensor([2.0])), cell.tensor([2.0]), nn.Tanh()
    module.register_parameter("a_parameter", parameter)
    module.register_buffer("a_buffer", buffer, persistent=False)
    module.register_module("a_child", child)
    assert (module.a_parameter is parameter, module.a_buffer is buffer, module.a_child is child) == (True, True, True)
    saved = ["a_parameter", "b_parameter", "b_buffer"]
    expected = (["a_parameter", "b_parameter"], ["a_buffer", "b_buffer"], ["a_child", "b_child"])
    assert kinds(module) == (*expected, saved)
    module.register_buffer("a_buffer", buffer)
    assert kinds(module) == (*expected, ["a_parameter", "b_parameter", "a_buffer", "b_buffer"])
    module.register_parameter("a_parameter", None)
    assert module.a_parameter is None


REGISTER = {
    "parameter": lambda module, name: module.register_parameter(name, nn.Parameter(torch.zeros(1))),
    "buffer": lambda module, name: module.register_buffer(name, torch.zeros(1)),
    "child": lambda module, name: module.register_module(name, nn.ReLU()),
}


@claim("register-other-kind")
@pytest.mark.parametrize("first", REGISTER)
@pytest.mark.parametrize("second", REGISTER)
def test_other_kind(first, second):
    module = nn.Module()
    REGISTER[first](module, "value")
    before, value = kinds(module), module.value
    if first == second:
        assert attempt(lambda: REGISTER[second](module, "value")) == "nothing"
    else:
        assert attempt(lambda: REGISTER[second](module, "value")) == "KeyError: \"attribute 'value' already exists\""
        assert module.value is value
    assert kinds(module) == before


@claim("register-param-reserved")
@pytest.mark.parametrize("held", [True, False], ids=["parameter", "None"])
@pytest.mark.parametrize(
    "value", [5, "text", torch.zeros(1), nn.ReLU(), torch.relu, False], ids=lambda one: type(one).__name__
)
def test_reserved_for_parameters(value, held):
    module = nn.Module()
    module.register_parameter("w", nn.Parameter(torch.zeros(1)) if held else None)
    before, parameter = kinds(module), module.w
    raised = attempt(lambda: setattr(module, "w", value))
    assert raised.startswith("TypeError: cannot assign '")
    assert "as parameter 'w' (torch.nn.Parameter or None expected)" in raised
    assert module.w is parameter
    assert kinds(module) == before
    assert "w" not in vars(module)
    for new in (None, nn.Parameter(torch.ones(1)), None):
        module.w = new
        assert module.w is new


@claim("register-buffer-none")
def test_buffer_none(cell):
    module = nn.Module()
    module.register_buffer("empty", None)
    module.register_buffer("full", cell.tensor([1.0]))
    assert module.empty is None
    assert kinds(module) == ([], ["full"], [], ["full"])
    module.half().to("cpu").double()
    assert module.empty is None
    assert module.full.dtype is torch.float64
    module.empty = tensor = cell.tensor([2.0])
    assert module.empty is tensor
    assert kinds(module) == ([], ["empty", "full"], [], ["empty", "full"])
    module.register_buffer("fleeting", None, persistent=False)
    module.fleeting = cell.tensor([2.0])
    assert kinds(module) == ([], ["empty", "full", "fleeting"], [], ["empty", "full"])


@claim("register-buffer-reserved")
@pytest.mark.parametrize("value", ["Parameter", "Module"])
@pytest.mark.parametrize("held", [True, False], ids=["buffer", "None"])
def test_reserved_for_buffers(held, value):
    module = nn.Module()
    module.register_buffer("b", torch.zeros(1) if held else None)
    new = nn.Parameter(torch.zeros(1)) if value == "Parameter" else nn.ReLU()
    raised = attempt(lambda: setattr(module, "b", new))
    parameters, _, children, _ = kinds(module)
    assert raised.startswith("TypeError"), f"raised {raised}, parameters {parameters}, children {children}"


@claim("register-buffer-kind")
@pytest.mark.parametrize("value", [5, "text", torch.relu, [1.0], False], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("persistent", [True, False])
def test_buffer_kind(persistent, value):
    module = nn.Module()
    module.register_buffer("b", torch.zeros(1), persistent=persistent)
    before, buffer = kinds(module), module.b
    raised = attempt(lambda: setattr(module, "b", value))
    assert raised.startswith("TypeError: cannot assign '")
    assert "as buffer 'b'" in raised
    assert module.b is buffer
    assert kinds(module) == before
    assert "b" not in vars(module)


@claim("module-attr-registers-child")
@pytest.mark.parametrize("before", ["number", "tensor", "buffer", "fleeting buffer", "child"])
def test_a_module_takes_the_place(before):
    module, child = nn.Module(), nn.Linear(1, 1)
    if "buffer" in before:
        module.register_buffer("value", torch.zeros(1), persistent=before == "buffer")
    else:
        module.value = {"number": 1, "tensor": torch.zeros(1), "child": nn.ReLU()}[before]
    module.value = child
    assert module.value is child
    assert kinds(module) == (["value.weight", "value.bias"], [], ["value"], ["value.weight", "value.bias"])
    assert "value" not in vars(module)
    del module.value
    module.register_buffer("value", torch.zeros(1))
    assert kinds(module) == ([], ["value"], [], ["value"]), "what the name was before is forgotten"


@claim("module-delete-forgets")
@pytest.mark.parametrize("first", REGISTER)
@pytest.mark.parametrize("second", REGISTER)
def test_deleted_names_are_free(first, second):
    module = nn.Module()
    if first == "buffer":
        module.register_buffer("value", torch.zeros(1), persistent=False)
    else:
        REGISTER[first](module, "value")
    del module.value
    assert kinds(module) == ([], [], [], [])
    assert attempt(lambda: module.value) == "AttributeError: 'Module' object has no attribute 'value'"
    assert attempt(lambda: delattr(module, "value")).startswith("AttributeError: ")
    REGISTER[second](module, "value")
    alone = nn.Module()
    REGISTER[second](alone, "value")
    assert kinds(module) == kinds(alone)
    module.plain = 1
    del module.plain
    assert not hasattr(module, "plain")


@claim("module-dir")
def test_dir():
    module = nn.Module()
    REGISTER["parameter"](module, "zz_parameter")
    REGISTER["buffer"](module, "zz_buffer")
    REGISTER["child"](module, "zz_child")
    module.add_module("0", nn.ReLU())
    module.zz_plain = 1
    listed = dir(module)
    assert {"zz_parameter", "zz_buffer", "zz_child", "zz_plain", "forward", "training"} <= set(listed)
    assert "0" not in listed
    assert listed == sorted(listed)
    for container in (nn.Sequential(nn.ReLU()), nn.ModuleList([nn.ReLU()]), nn.ParameterList([torch.zeros(1), 1])):
        container.zz_child = nn.ReLU()
        listed = dir(container)
        assert {"zz_child", "append"} <= set(listed)
        assert not [name for name in listed if name.isdigit()]


class Printed(nn.Module):
    def __init__(self, extra, **children):
        super().__init__()
        self.extra = extra
        for name, child in children.items():
            self.register_module(name, child)

    def extra_repr(self):
        return self.extra


@claim("module-extra-repr")
@pytest.mark.parametrize(
    ("module", "lines"),
    [
        (Printed(""), ["Printed()"]),
        (Printed("one=1, two=2"), ["Printed(one=1, two=2)"]),
        (Printed("one=1\ntwo=2"), ["Printed(", "  one=1", "  two=2", ")"]),
        (Printed("one=1", a=nn.ReLU()), ["Printed(", "  one=1", "  (a): ReLU()", ")"]),
        (Printed("", a=nn.ReLU()), ["Printed(", "  (a): ReLU()", ")"]),
        (Printed("", a=Printed("one\ntwo")), ["Printed(", "  (a): Printed(", "    one", "    two", "  )", ")"]),
    ],
    ids=["nothing", "one line", "two lines", "line and child", "child", "lines of a child"],
)
def test_extra_repr(module, lines):
    assert repr(module).splitlines() == lines
    assert str(module) == repr(module)


@claim("module-extra-repr")
def test_extra_repr_by_default():
    assert nn.Module().extra_repr() == ""
    assert nn.Linear(2, 3).extra_repr() in repr(nn.Linear(2, 3))
    assert nn.Linear(2, 3).extra_repr().startswith("in_features=2, out_features=3")


@claim("module-print-nested")
def test_nested():
    net = Printed("", l1=nn.Sequential(nn.Sequential(nn.Tanh()), nn.ReLU()), empty=None, last=nn.ModuleDict())
    assert repr(net).splitlines() == [
        "Printed(",
        "  (l1): Sequential(",
        "    (0): Sequential(",
        "      (0): Tanh()",
        "    )",
        "    (1): ReLU()",
        "  )",
        "  (empty): None",
        "  (last): ModuleDict()",
        ")",
    ]


REGISTRATION = {
    "parameter": nn.modules.module.register_module_parameter_registration_hook,
    "buffer": nn.modules.module.register_module_buffer_registration_hook,
    "child": nn.modules.module.register_module_module_registration_hook,
}
VALUES = {"parameter": lambda: nn.Parameter(torch.zeros(1)), "buffer": lambda: torch.zeros(1), "child": nn.ReLU}


@contextlib.contextmanager
def hooked(kind, *hooks):
    handles = [REGISTRATION[kind](hook) for hook in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@claim("register-hooks-called")
@pytest.mark.parametrize("kind", REGISTRATION)
def test_hooks_are_called(kind):
    module, calls = nn.Module(), []
    with hooked(kind, lambda *args: calls.append((*args, hasattr(args[0], args[1])))):
        for other in REGISTER:
            if other != kind:
                REGISTER[other](module, f"other_{other}")
        assert calls == []
        REGISTER[kind](module, "value")
        first = module.value
        module.value = second = VALUES[kind]()
        with contextlib.suppress(KeyError, TypeError):
            REGISTER[kind](module, "forward")
    REGISTER[kind](module, "late")
    assert [(one, name, id(value)) for one, name, value, _ in calls] == [
        (module, "value", id(first)), (module, "value", id(second)),
    ]  # fmt: skip
    assert calls[0][3] is False, "the hook runs before the name is set"


@claim("register-hooks-called")
def test_hooks_see_layers_being_built():
    calls = []
    with hooked("parameter", lambda module, name, value: calls.append((type(module).__name__, name))):
        net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    assert calls == [("Linear", "weight"), ("Linear", "bias"), ("BatchNorm1d", "weight"), ("BatchNorm1d", "bias")]
    calls.clear()
    with hooked("child", lambda module, name, value: calls.append((module, name, value))):
        net.append(nn.ReLU())
        net[0] = nn.Tanh()
        net.named = None
        net.named = child = nn.ELU()
        net.named = None
    assert calls == [(net, "2", net[2]), (net, "0", net[0]), (net, "named", child), (net, "named", None)]


@claim("register-hooks-replace")
@pytest.mark.parametrize("way", ["method", "assignment"])
@pytest.mark.parametrize("kind", REGISTRATION)
def test_hooks_replace(kind, way):
    module, first, second, seen = nn.Module(), VALUES[kind](), VALUES[kind](), []
    REGISTER[kind](module, "value")
    with hooked(
        kind,
        lambda *_: first,
        lambda module, name, value: seen.append(value),
        lambda *args: seen.append(args[2]) or second,
    ):
        if way == "method":
            REGISTER[kind](module, "value")
        else:
            module.value = VALUES[kind]()
    assert [id(one) for one in seen] == [id(first)] * 2
    assert module.value is second
    REGISTER[kind](module, "value")
    assert module.value not in (first, second) if kind == "child" else module.value is not second


@claim("register-hooks-of-none")
@pytest.mark.parametrize("kind", REGISTRATION)
def test_hooks_of_none(kind):
    module, calls = nn.Module(), []
    with hooked(kind, lambda *args: calls.append(args)):
        register = {
            "parameter": module.register_parameter,
            "buffer": module.register_buffer,
            "child": module.register_module,
        }
        register[kind]("value", None)
    assert calls == [(module, "value", None)], f"expected one call, seen {len(calls)}"
